"""Checks that a moved run continues as it would in torch, by stepping both side by side."""
