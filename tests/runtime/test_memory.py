"""The memory that a long run holds."""

import ctypes
import subprocess
import sys

import pytest

from jaxopt_notes.runtime import memory

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")

HEAPS_OF_THREADS = """
import ctypes, sys, threading
from jaxopt_notes.runtime import memory

if sys.argv[1] == "few":
    memory.share_heaps()
barrier = threading.Barrier(4)

def work():
    barrier.wait()
    blocks.append([bytearray(5000) for _ in range(1000)])

blocks = []
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
    report_file = tmp_path / "malloc.xml"
    subprocess.run([sys.executable, "-c", HEAPS_OF_THREADS, heaps, str(report_file)], check=True)
    assert (report_file.read_text().count("<heap nr=") <= memory.HEAPS) == (heaps == "few")


# Each freed array lies between two that live, so that malloc by itself returns none of it.
GIVEN_BACK = """
import resource
import numpy as np
from jaxopt_notes.runtime import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

arrays = [np.ones(64 * 1024 if i % 2 else 2 * 1024, np.uint8) for i in range(4000)]
del arrays[1::2]
before = resident()
memory.give_back()
print(before - resident())
assert all(array.all() for array in arrays)
"""


@pytest.mark.skipif(not GLIBC, reason="only glibc's malloc can be told to")
def test_freed_memory_goes_back_to_the_system():
    # In a process of its own: in one that has run other tests, the arrays fill holes left by those.
    run = [sys.executable, "-c", GIVEN_BACK]
    assert int(subprocess.run(run, check=True, capture_output=True, text=True).stdout) > 100e6
