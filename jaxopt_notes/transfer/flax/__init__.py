"""Users' Flax modules: names, layouts and containers."""
