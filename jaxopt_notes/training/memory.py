"""The memory that a long run holds."""

import ctypes
import sys


def give_back() -> None:
    """Returns the free memory that malloc holds to the system; without glibc, does nothing.

    XLA and orbax work in dozens of threads, for which glibc keeps up to eight heaps a core. Each
    keeps what was freed in it, and grows when another time a large array falls to it: a run whose
    own needs are constant would swell for hours.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
