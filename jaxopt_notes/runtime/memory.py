"""The memory that a long run holds, where malloc is glibc's; elsewhere these do nothing.

XLA, orbax and tensorstore work in dozens of threads. By default glibc keeps up to eight heaps a
core for them; each keeps what was freed in it, and grows when another time something large falls to
it, so that a run whose own needs are constant swells for hours.
"""

import ctypes
import sys
from typing import Any

M_ARENA_MAX = -8  # of glibc's malloc.h
HEAPS = 2  # with one, threads wait for each other where they share their cores with other programs


def share_heaps() -> None:
    """Has all threads take memory from a few heaps; to be called before there are others.

    Of all heaps but the first the free end cannot be given back.
    """
    if mallopt := _glibc("mallopt"):
        mallopt(M_ARENA_MAX, HEAPS)


def give_back() -> None:
    """Returns the free memory that malloc holds to the system."""
    if trim := _glibc("malloc_trim"):
        trim(0)


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
