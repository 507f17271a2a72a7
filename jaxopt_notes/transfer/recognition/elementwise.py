"""JAX's elementwise operations, in NumPy."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": np.add, "add_any": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "max": np.maximum, "min": np.minimum, "pow": np.power, "sqrt": np.sqrt, "cbrt": np.cbrt,
    "rsqrt": lambda x: 1 / np.sqrt(x), "neg": np.negative, "abs": np.abs, "sign": np.sign,
    "exp": np.exp, "exp2": np.exp2, "log": np.log, "log1p": np.log1p, "expm1": np.expm1,
    "tanh": np.tanh, "logistic": lambda x: 1 / (1 + np.exp(-x)), "floor": np.floor,
    "ceil": np.ceil, "rem": np.fmod, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal, "and": np.logical_and,
    "or": np.logical_or, "not": np.logical_not, "is_finite": np.isfinite, "square": np.square,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "select_n": lambda which, no, yes: np.where(which, yes, no),
}  # fmt: skip


def is_elementwise(name: str) -> bool:
    """Whether each element of the result depends only on the elements at its own place."""
    return name in _FUNCTIONS or name in ("integer_pow", "convert_element_type")


def apply(name: str, params: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """The result of a JAX elementwise operation.

    >>> apply("integer_pow", {"y": 2}, [3.0])
    9.0
    """
    if name == "integer_pow":
        return inputs[0] ** params["y"]
    if name == "convert_element_type":
        return np.asarray(inputs[0]).astype(params["new_dtype"])
    return _FUNCTIONS[name](*inputs)
