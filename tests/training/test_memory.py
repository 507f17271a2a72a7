"""The memory that a long run holds."""

import ctypes
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxopt_notes.training import memory

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")
PAGE = resource.getpagesize()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


WORK = """
import ctypes, sys, threading
from jaxopt_notes.training import memory

if sys.argv[1] == "few":
    memory.share_heaps()
barrier = threading.Barrier(4)

def work():
    barrier.wait()
    kept.append([bytearray(5000) for _ in range(1000)])

kept = []
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(not GLIBC, reason="only glibc's malloc has several heaps")
@pytest.mark.parametrize("heaps", ["few", "many"])
def test_all_threads_share_a_few_heaps(heaps, tmp_path):
    told = tmp_path / "malloc.xml"
    subprocess.run([sys.executable, "-c", WORK, heaps, str(told)], check=True)
    assert (told.read_text().count("<heap nr=") <= memory.HEAPS) == (heaps == "few")


@pytest.mark.skipif(not GLIBC, reason="only glibc's malloc can be told to")
def test_freed_memory_goes_back_to_the_system():
    # Each freed array lies between two that live, so that malloc by itself returns none of it.
    arrays = [np.ones(64 * 1024 if i % 2 else 2 * 1024, np.uint8) for i in range(4000)]
    del arrays[1::2]
    before = resident()
    memory.give_back()
    assert before - resident() > 100e6
    assert all(array.all() for array in arrays)
