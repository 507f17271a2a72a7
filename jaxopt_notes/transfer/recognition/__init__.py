"""Reads a transformation's traced program, finds the equal framework optimizer, and proves it."""
