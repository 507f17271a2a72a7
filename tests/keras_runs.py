"""Steps in Keras on the gradients of `verification.problem`, in float32 and float64."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from jaxopt_notes.verification import oracle_keras, problem


@contextmanager
def in_dtype(dtype: str) -> Iterator[None]:
    """JAX's default and Keras' learning rates have the dtype."""
    keras = oracle_keras.load()
    floatx = keras.backend.floatx()
    with jax.enable_x64(dtype == "float64"):
        keras.backend.set_floatx(dtype)
        try:
            yield
        finally:
            keras.backend.set_floatx(floatx)


def variables(dtype: str) -> list[Any]:
    """θ_0 as Keras' variables "weight" and "bias"."""
    keras = oracle_keras.load()
    return [keras.Variable(p, dtype=dtype, name=n) for n, p in problem.start(dtype).items()]


def values(of: list[Any]) -> dict[str, jax.Array]:
    """A flat dict of the variables, as JAX keeps it."""
    return {v.path: jax.device_put(np.array(v.numpy())) for v in of}


@functools.lru_cache(4)
def _compiled(opt: Any) -> Callable[..., Any]:
    def step(carry: Any, grads: Any) -> Any:
        theta, memory = opt.stateless_apply(carry[1], grads, carry[0])
        return (theta, memory), theta

    return jax.jit(lambda start, xs: jax.lax.scan(step, start, xs))


def steps(opt: Any, of: list[Any], gradients: problem.Path, ks: range) -> problem.Path:
    """Takes the steps of these numbers, and returns θ after each; compiled, as `fit` does it."""
    xs = [gradients[v.path][ks.start : ks.stop] for v in of]
    start = [v.value for v in of], [v.value for v in opt.variables]
    (theta, memory), seen = _compiled(opt)(start, xs)
    for variable, value in zip([*of, *opt.variables], [*theta, *memory]):
        variable.assign(value)
    return {v.path: np.asarray(x) for v, x in zip(of, seen)}
