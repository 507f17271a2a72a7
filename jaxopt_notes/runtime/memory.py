"""Limits the memory that a long run holds, where malloc is glibc's; elsewhere does nothing.

XLA, orbax and tensorstore work in dozens of threads. By default glibc gives them up to eight heaps
per core. Each heap keeps the memory that was freed in it, and grows whenever a large allocation
lands in it. So a run with constant needs grows for hours.
"""

import ctypes
import sys
from typing import Any

M_ARENA_MAX = -8  # of glibc's malloc.h
HEAPS = 2  # with one heap, threads wait for each other where other programs share the cores


def share_heaps() -> None:
    """Makes all threads share a few heaps; call it before other threads start.

    glibc can return the free end of only the first heap.
    """
    if mallopt := _glibc("mallopt"):
        mallopt(M_ARENA_MAX, HEAPS)


def give_back() -> None:
    """Returns memory that malloc holds but does not use to the operating system."""
    if trim := _glibc("malloc_trim"):
        trim(0)


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
