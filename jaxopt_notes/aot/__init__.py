"""The training step compiled ahead of time, for hardware that need not be here."""
