"""Collects doctests of contestants that need torch only where torch is installed."""

from jaxopt_notes.extras import installed

collect_ignore_glob = [] if installed("torch") else ["contestants/*torch.py"]
