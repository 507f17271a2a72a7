"""Compiles the training step ahead of time, for hardware that need not be here."""
