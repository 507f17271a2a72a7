"""An optimizer from its steps alone: what it is given, and the equation that explains its steps."""
