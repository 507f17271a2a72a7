"""The settings of a run: their values, their rules, and the command's options for them."""
