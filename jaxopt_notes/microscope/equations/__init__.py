"""The equation of an optimizer, read from its own program."""
