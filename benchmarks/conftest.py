"""Contestants that need torch are looked at for doctests only where it is installed."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["contestants/*torch.py"]
