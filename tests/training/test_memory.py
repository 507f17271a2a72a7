"""The memory that a long run holds."""

import ctypes
import resource
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxopt_notes.training import memory

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")
PAGE = resource.getpagesize()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.skipif(not GLIBC, reason="only glibc's malloc can be told to")
def test_freed_memory_goes_back_to_the_system():
    # Each freed array lies between two that live, so that malloc by itself returns none of it.
    arrays = [np.ones(64 * 1024 if i % 2 else 2 * 1024, np.uint8) for i in range(4000)]
    del arrays[1::2]
    before = resident()
    memory.give_back()
    assert before - resident() > 100e6
    assert all(array.all() for array in arrays)
