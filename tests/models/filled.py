"""Networks whose numbers NumPy draws; JAX compiles a program for each shape that it draws."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx


def filled(make: Callable[[nnx.Rngs], Any], number: float | None = None) -> Any:
    """`make(rngs)`, with other numbers in every element, or the same number in all."""
    graph, abstract = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    rng = np.random.default_rng(0)

    def numbers(x: Any) -> np.ndarray:
        if number is not None:
            return np.full(x.shape, number, x.dtype)
        # What has one dimension may be a variance.
        drawn = rng.normal(0, 0.3, x.shape) if x.ndim > 1 else rng.uniform(0.5, 1.5, x.shape)
        return drawn.astype(x.dtype)

    return nnx.merge(graph, jax.device_put(jax.tree.map(numbers, abstract)))
