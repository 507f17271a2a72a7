"""Checks of arguments when an optimizer is built.

Only Python and NumPy numbers can be checked then; a traced value or an array passes unchecked.
"""

import math
import numbers
from typing import Any

import jax
import jax.numpy as jnp


def _known(name: str, value: Any) -> float | None:
    """The value as a float; None for a traced value or an array."""
    if isinstance(value, jax.Array):
        return None
    if isinstance(value, bool) or not hasattr(value, "__array__"):
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"{name}={value!r} is not a number")
        return float(value)
    return float(value) if getattr(value, "ndim", None) == 0 else None


def check_decay(name: str, value: Any, *, one_allowed: bool = False) -> None:
    """Raises ValueError unless 0 ≤ value < 1 (≤ 1 if one_allowed), TypeError if not a number."""
    x = _known(name, value)
    if x is not None and not (0 <= x < 1 or (one_allowed and x == 1)):
        interval = "[0, 1]" if one_allowed else "[0, 1)"
        raise ValueError(f"{name}={value!r} is outside {interval}")


def check_not_negative(name: str, value: Any, *, infinite: bool = False) -> None:
    """Raises ValueError unless 0 ≤ value < ∞ (≤ ∞ if infinite), TypeError if it is not a number."""
    x = _known(name, value)
    if x is not None and not (0 <= x < math.inf or (infinite and x == math.inf)):
        raise ValueError(
            f"{name}={value!r} must be {'' if infinite else 'finite and '}not negative"
        )


def check_finite_or_schedule(name: str, value: Any) -> None:
    """Raises ValueError for NaN and infinities, TypeError unless a number or a callable."""
    if callable(value):
        return
    x = _known(name, value)
    if x is not None and not math.isfinite(x):
        raise ValueError(f"{name}={value!r} must be finite")


def check_dtype(name: str, value: Any) -> None:
    """Raises TypeError unless the value is None or names a dtype."""
    try:
        if value is not None:
            jnp.dtype(value)
    except TypeError as error:
        raise TypeError(f"{name}={value!r} is not a dtype") from error
