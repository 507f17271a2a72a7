"""Recovers the exact number behind a rounded number."""

from collections.abc import Iterable
from typing import Any

import numpy as np

ROUNDING = 4e-15  # relative error of a number after a few operations in float64


def plain(x: Any) -> np.ndarray:
    """An array in NumPy; a scalar of low precision becomes the shortest decimal that rounds to it.

    `optax.inject_hyperparams` keeps 0.9 in float32 as 0.8999999762; this function returns 0.9.

    >>> print(plain(np.float32(0.9)))
    0.9
    """
    array = np.asarray(x)
    if array.ndim == 0 and array.dtype.kind in "fV" and array.dtype.itemsize < 8:
        return np.asarray(float(str(array[()])))
    return array


def snap(x: float, constants: Iterable[float], tolerance: float = ROUNDING) -> float:
    """The intended number: a constant of the program, or else the shortest decimal.

    Args:
      x: the computed number.
      constants: the constants of the program.
      tolerance: the largest relative error of x.

    >>> snap(0.1 + 1e-17, [0.3]), snap(0.30000000000000004, [0.3]), snap(1 / 3, [])
    (0.1, 0.3, 0.3333333333333333)
    """
    x = float(x)
    if x == 0 or not np.isfinite(x):
        return x
    near = [c for c in constants if abs(c - x) <= tolerance * abs(x)]
    exact = min(near, key=lambda c: (len(repr(c)), abs(c - x)), default=x)
    # This prefers 0.1 to the program's 1 − 0.9, but not 0.333333333333333 to 1/3.
    for digits in range(1, 13 if tolerance < 1e-13 else 17):
        short = float(f"{x:.{digits}g}")
        if abs(short - x) <= tolerance * abs(x):
            return exact if near and digits > 6 else short
    return exact
