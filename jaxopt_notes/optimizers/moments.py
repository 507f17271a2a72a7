"""Shared by the rules with moving averages: |g|², and the bias correction of an average."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

Scalar = Any  # a hyper-parameter: a number, or an array of shape ()


def abs_sq(g: jax.Array) -> jax.Array:
    """|g|²; real for complex g too."""
    square: jax.Array = (g.conj() * g).real if jnp.iscomplexobj(g) else g * g
    return square


# Both functions are jitted, as in optax, even where nothing else is. This makes β a run-time value:
# the power of a constant rounds differently. The number of arrays that share a correction also
# decides whether XLA divides by it or multiplies by its inverse.


@functools.partial(jax.jit, inline=True)
def correction(decay: Scalar, t: jax.Array) -> jax.Array:
    """1 − β^t: the sum of a moving average's weights after t steps (Kingma & Ba 2014, §3)."""
    weights: jax.Array = 1 - decay**t
    return weights


def exact_correction(decay: Scalar, t: jax.Array) -> jax.Array:
    """1 − β^t as if in float64; where float64 is not available, −expm1(t log β).

    In float32 the relative error of 1 − 0.999 is 1e-5, and Adam's first steps inherit it. torch
    computes 1 − β^t in float64, optax and Keras in the parameters' dtype.
    """
    if jnp.result_type(float) == jnp.float64:
        weights: jax.Array = correction(decay, t)
        return weights
    if isinstance(decay, (int, float)):
        decay = math.log(decay) if decay > 0 else -math.inf
    else:
        decay = jnp.log(decay)
    return -jnp.expm1(t * decay)


@functools.partial(jax.jit, inline=True)
def debias(averages: list[jax.Array], correction: jax.Array) -> list[jax.Array]:
    """average / (1 − β^t) for each.

    The correction keeps its own precision; only the quotient is cast to the average's dtype,
    because 0.999 is 1 in bfloat16.
    """
    return [average / correction.astype(average.dtype) for average in averages]
