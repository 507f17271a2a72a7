"""The microscope: the equation of any optimizer, the name of any difference."""

from jaxopt_notes.microscope.watching import WatchState, readings, watch

__all__ = ["WatchState", "readings", "watch"]
