"""The terms by which the frameworks differ, where no optimizer of ours has them already.

no gradient         torch passes a parameter over: it stays, and so does its state
maximize            −g_t in place of g_t
dampening τ         g_1, then (1 − τ) g_t
scheduled μ, β1     the hyperparameter of the moment, as a scheduler sets it at each step
decay beside        u_t − α λ θ, whatever has become of α inside u_t
shrunk              u_t + (1 − α λ) θ − θ, the same but for its rounding
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes.optimizers import add_decayed_weights, scale_by_learning_rate, trace
from jaxopt_notes.optimizers._handover import advance_schedules
from jaxopt_notes.optimizers.checks import check_finite_or_schedule
from jaxopt_notes.optimizers.engine import Slot, increment, leafwise

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


def velocity(momentum: Rate, nesterov: bool = False) -> optax.GradientTransformation:
    """v_t = μ_t v_{t−1} + g_t, with μ_t from a schedule if it is one.

    Where μ_t is 0, torch leaves the velocity as it was and steps by the gradient alone.
    """
    if not callable(momentum):
        return trace(momentum, nesterov)

    def rule(g: jax.Array, v: jax.Array, mu: jax.Array) -> tuple[jax.Array, jax.Array]:
        faster = g + mu * v
        return (g + mu * faster if nesterov else faster), jnp.where(mu == 0, v, faster)

    def of(mu: jax.Array) -> optax.GradientTransformation:
        return leafwise(partial(rule, mu=mu), optax.TraceState, {"trace": Slot()})

    return scheduled(of, momentum)


def scheduled(
    of: Callable[[Any], optax.GradientTransformation], schedule: Callable[[Any], Any]
) -> optax.GradientTransformation:
    """The transformation of(x) with another x at each step, from a schedule of the steps taken.

    The schedule's steps are counted apart, so that it counts on where a parameter has no gradient.
    x is not rounded to half precision, but updates and state keep their dtypes.

    Returns:
      A transformation with state (`optax.ScaleByScheduleState(count)`, of(x)'s state).
    """

    def init(params: Any) -> Any:
        clock = optax.ScaleByScheduleState(count=jnp.zeros([], jnp.int32))
        return clock, of(schedule(clock.count)).init(params)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        clock, old = state
        moved, new = of(schedule(clock.count)).update(updates, old, params)
        clock = optax.ScaleByScheduleState(count=increment(clock.count))
        return _in_dtypes_of(updates, moved), (clock, _in_dtypes_of(old, new))

    return optax.GradientTransformation(init, update)


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
        if isinstance(alpha, jax.Array):  # 1 − α λ needs all of θ's bits; a schedule may have less
            alpha = alpha.astype(jnp.promote_types(alpha.dtype, p.dtype))
        return u + (jnp.asarray(1 - alpha * weight_decay, p.dtype) * p - p)

    if not callable(learning_rate):
        return leafwise(partial(shrink, alpha=learning_rate), with_params=True)
    state = optax.ScaleByScheduleState
    return leafwise(shrink, state=state, at_step=learning_rate, with_params=True)


def pass_over(
    optimizer: optax.GradientTransformation, *, counts: bool, scheduled: bool
) -> optax.GradientTransformationExtraArgs:
    """As torch has it, a parameter whose gradient is None stays as it is, and so does its state.

    Args:
      optimizer: it steps parameters that have all taken the same number of steps.
      counts: whether that number matters. Then their state stays only if no parameter has a
        gradient, as the count is one for all.
      scheduled: whether a schedule drives the learning rate; it counts on all the same.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        gradients = jax.tree.leaves(updates, is_leaf=_is_none)
        if gradients and all(map(_is_none, gradients)):
            return updates, advance_schedules(state) if scheduled else state
        moved, new = optimizer.update(updates, state, params, **extra)
        return moved, new if counts else _with_slots_of(state, new)

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def frozen(
    optimizer: optax.GradientTransformation, is_frozen: Callable[[Any], Any]
) -> optax.GradientTransformationExtraArgs:
    """Updates of 0, and a state that stays, where `is_frozen(params)`, a tree of booleans, says so.

    The optimizer sees None there, in place of the gradient.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def init(params: Any) -> Any:
        is_frozen(params)  # which checks that the parameters are arranged as was said
        return optimizer.init(params)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        still = is_frozen(updates)
        moving = jax.tree.map(lambda s, g: None if s else g, still, updates)
        moved, new = optimizer.update(moving, state, params, **extra)
        moved = jax.tree.map(
            lambda s, g, u: jnp.zeros_like(g) if s and g is not None else u, still, updates, moved
        )
        return moved, _with_slots_of(state, new)

    return optax.GradientTransformationExtraArgs(init, update)


def _is_none(x: Any) -> bool:
    return x is None


def _in_dtypes_of(old: Any, new: Any) -> Any:
    return jax.tree.map(
        lambda n, o: None if n is None else n.astype(o.dtype), new, old, is_leaf=_is_none
    )


def _with_slots_of(old: Any, new: Any) -> Any:
    """The new state, with the old one's slots where a gradient of None has left none."""
    return jax.tree.map(lambda n, o: o if n is None else n, new, old, is_leaf=_is_none)
