"""What the rules with moving averages share: |g|², and the correction of an average's bias."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

Scalar = Any  # a hyper-parameter: a number, or an array of shape ()


def abs_sq(g: jax.Array) -> jax.Array:
    """|g|², real also where g is complex."""
    square: jax.Array = (g.conj() * g).real if jnp.iscomplexobj(g) else g * g
    return square


# Both are jits of their own, as they are in optax, even where nothing else is. β is then a run-time
# value: the power of a constant rounds differently. And whether XLA divides by the correction or
# multiplies by its inverse depends on how many arrays share it.


@functools.partial(jax.jit, inline=True)
def correction(decay: Scalar, t: jax.Array) -> jax.Array:
    """1 − β^t: the sum of a moving average's weights after t steps (Kingma & Ba 2014, §3)."""
    weights: jax.Array = 1 - decay**t
    return weights


def exact_correction(decay: Scalar, t: jax.Array) -> jax.Array:
    """1 − β^t as if in float64; where that is not to be had, −expm1(t log β).

    In float32 1 − 0.999 is off by 1e-5 of itself, and with it Adam's first steps. torch works this
    number out in float64, optax and Keras in the parameters' dtype.
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

    The correction comes in its own precision, and only the quotient is in the average's: in
    bfloat16 0.999 is 1.
    """
    return [average / correction.astype(average.dtype) for average in averages]
