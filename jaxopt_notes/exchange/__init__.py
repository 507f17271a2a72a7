"""Checkpoint files of torch become runs of `train`, and runs become such files."""
