"""Turns torch checkpoint files into runs of `train`, and runs into torch checkpoint files."""
