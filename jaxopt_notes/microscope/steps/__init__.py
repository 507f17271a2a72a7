"""Identifies an optimizer from its steps alone: the probes, and the equation that explains them."""
