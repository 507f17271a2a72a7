"""Flax modules of one's own: names, layouts and containers."""
