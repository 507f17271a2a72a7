"""The terms by which the books differ, where no optimizer of ours has them already.

maximize            −g_t in place of g_t
dampening τ         g_1, then (1 − τ) g_t
decay beside        u_t − α λ θ, whatever has become of α inside u_t
shrunk              u_t + (1 − α λ) θ − θ, the same but for its rounding
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes.optimizers import add_decayed_weights, scale_by_learning_rate
from jaxopt_notes.optimizers.checks import check_finite_or_schedule
from jaxopt_notes.optimizers.engine import leafwise

Rate = float | jax.Array | Callable[[Any], Any]  # a number, or a schedule of the steps taken


def given(value: Any) -> bool:
    """Whether a term is there at all: not None, nor the number 0.

    An array is, whatever it holds: under `optax.inject_hyperparams` it changes from step to step.
    """
    return value is not None and not (isinstance(value, (int, float)) and value == 0)


def ascend() -> optax.GradientTransformation:
    """−g: what follows climbs."""
    return leafwise(lambda g: -g)


def dampened(dampening: float) -> optax.GradientTransformation:
    """g_1 at the first step, (1 − τ) g_t from the second on.

    Before `trace` it gives torch's velocity, which starts as a copy of the gradient.
    """
    check_finite_or_schedule("dampening", dampening)
    return scale_by_learning_rate(
        lambda count: jnp.where(count == 0, 1.0, 1.0 - dampening), flip_sign=False
    )


def decay_beside(learning_rate: Rate, weight_decay: float) -> optax.GradientTransformation:
    """u − α λ θ: decoupled decay, as Keras adds it to every optimizer.

    AdamW's chain has −α λ θ from a decay before the rate. Where the rate is inside a velocity that
    would send the decay through the velocity, so here it comes last and brings its own α.
    """
    check_finite_or_schedule("weight_decay", weight_decay)
    if not callable(learning_rate):
        return add_decayed_weights(-learning_rate * weight_decay)

    def shrink(u: jax.Array, p: jax.Array, alpha: Any) -> jax.Array:
        return u - jnp.asarray(alpha, p.dtype) * weight_decay * p

    state = optax.ScaleByScheduleState
    return leafwise(shrink, state=state, at_step=learning_rate, with_params=True)


def shrunk(learning_rate: Rate, weight_decay: float) -> optax.GradientTransformation:
    """u + (1 − α λ) θ − θ: AdamW's decay with torch's rounding.

    torch multiplies θ by 1 − α λ before the step. In float32 1 − 1e-5 is off by up to 0.3 % of the
    1e-5, at each step to the same side: to go where torch goes, the same number must be rounded.
    """
    check_finite_or_schedule("weight_decay", weight_decay)

    def shrink(u: jax.Array, p: jax.Array, alpha: Any) -> jax.Array:
        return u + (jnp.asarray(1 - alpha * weight_decay, p.dtype) * p - p)

    if not callable(learning_rate):
        return leafwise(partial(shrink, alpha=learning_rate), with_params=True)
    state = optax.ScaleByScheduleState
    return leafwise(shrink, state=state, at_step=learning_rate, with_params=True)
