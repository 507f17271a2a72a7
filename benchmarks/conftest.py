"""Contestants that need torch are looked at for doctests only where it is installed."""

from jaxopt_notes.extras import installed

collect_ignore_glob = [] if installed("torch") else ["contestants/*torch.py"]
