"""The equation of an optimizer, read off its own program."""
