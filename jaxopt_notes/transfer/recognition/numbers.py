"""Exact numbers: what was meant by a number that arithmetic has rounded."""

from collections.abc import Iterable
from typing import Any

import numpy as np

ROUNDING = 4e-15  # of a number read off by a few operations in float64


def plain(x: Any) -> np.ndarray:
    """An array in NumPy; a lone float of low precision becomes the shortest decimal that it rounds.

    `optax.inject_hyperparams` keeps 0.9 in float32: there it is 0.8999999762, and 0.9 was meant.

    >>> print(plain(np.float32(0.9)))
    0.9
    """
    array = np.asarray(x)
    if array.ndim == 0 and array.dtype.kind in "fV" and array.dtype.itemsize < 8:
        return np.asarray(float(str(array[()])))
    return array


def snap(x: float, constants: Iterable[float], tolerance: float = ROUNDING) -> float:
    """The number that was meant: a constant of the program, else the shortest decimal.

    Args:
      x: the number as arithmetic gave it.
      constants: those of the program.
      tolerance: how far off x may be, relative to itself.

    >>> snap(0.1 + 1e-17, [0.3]), snap(0.30000000000000004, [0.3]), snap(1 / 3, [])
    (0.1, 0.3, 0.3333333333333333)
    """
    x = float(x)
    if x == 0 or not np.isfinite(x):
        return x
    near = [c for c in constants if abs(c - x) <= tolerance * abs(x)]
    exact = min(near, key=lambda c: (len(repr(c)), abs(c - x)), default=x)
    # 0.1 rather than the 1 − 0.9 of the program; but not the 0.333333333333333 next to 1/3.
    for digits in range(1, 13 if tolerance < 1e-13 else 17):
        short = float(f"{x:.{digits}g}")
        if abs(short - x) <= tolerance * abs(x):
            return exact if near and digits > 6 else short
    return exact
