"""Terms in which the frameworks differ and that no optimizer of `jaxopt_notes.optimizers` has.

no gradient         torch and Keras pass a parameter over: it stays, and so does its state
maximize            −g_t in place of g_t
dampening τ         g_1, then (1 − τ) g_t
scheduled μ, β1     the hyperparameter of the moment, as a scheduler sets it at each step
decay beside        u_t − α λ θ, whatever has become of α inside u_t
shrunk              u_t + (1 − α λ) θ − θ, the same but for its rounding
clipped each        c g / max(‖g‖, c), each parameter's gradient by its own norm
clipped together    c g min(1/n, 1/c), n the norm of all gradients
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


def is_set(value: Any) -> bool:
    """Whether a term is present: neither None nor the number 0.

    An array counts as present whatever its value, because `optax.inject_hyperparams` may change it
    at each step.
    """
    return value is not None and not (isinstance(value, (int, float)) and value == 0)


def ascend() -> optax.GradientTransformation:
    """−g: what follows climbs."""
    return leafwise(lambda g: -g)


def dampened(dampening: float) -> optax.GradientTransformation:
    """g_1 at the first step, (1 − τ) g_t from the second on.

    Placed before `trace`, it gives torch's velocity, which starts as a copy of the gradient.
    """
    check_finite_or_schedule("dampening", dampening)
    return scale_by_learning_rate(
        lambda count: jnp.where(count == 0, 1.0, 1.0 - dampening), flip_sign=False
    )


def velocity(momentum: Rate, nesterov: bool = False) -> optax.GradientTransformation:
    """v_t = μ_t v_{t−1} + g_t; μ may be a schedule.

    Where μ_t is 0, torch keeps the old velocity and steps by the gradient alone.
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
    """The transformation of(x), where x follows a schedule of the steps taken.

    The schedule has its own step count, which goes on where a parameter has no gradient. x is not
    rounded to half precision; updates and state keep their dtypes.

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

    AdamW's chain adds λ θ before multiplying by the learning rate. With the learning rate inside
    the velocity, that would send the decay through the velocity. So this term comes last and has
    its own α.
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

    torch multiplies θ by 1 − α λ before the step. In float32 the error of 1 − 1e-5 is up to 0.3 %
    of the 1e-5, with the same sign at each step. To follow torch, the code must round the same
    number.
    """
    check_finite_or_schedule("weight_decay", weight_decay)

    def shrink(u: jax.Array, p: jax.Array, alpha: Any) -> jax.Array:
        if isinstance(alpha, jax.Array):  # 1 − α λ needs θ's precision; a schedule may have less
            alpha = alpha.astype(jnp.promote_types(alpha.dtype, p.dtype))
        return u + (jnp.asarray(1 - alpha * weight_decay, p.dtype) * p - p)

    if not callable(learning_rate):
        return leafwise(partial(shrink, alpha=learning_rate), with_params=True)
    state = optax.ScaleByScheduleState
    return leafwise(shrink, state=state, at_step=learning_rate, with_params=True)


def clipped_each(norm: float) -> optax.GradientTransformation:
    """c g / max(‖g‖, c) for each parameter separately: Keras' `clipnorm`."""
    return leafwise(lambda g: norm * g / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(g))), norm))


def clipped_together(norm: float) -> optax.GradientTransformation:
    """c g min(1/n, 1/c), n the norm of all gradients: Keras' `global_clipnorm`.

    Where n is infinite, every update is NaN; `optax.clip_by_global_norm` gives 0.
    """

    def clip(updates: Any, params: Any = None) -> Any:
        n = optax.tree.norm(updates)
        scale = norm * jnp.minimum(1 / n, 1 / norm) + (n - n)
        return jax.tree.map(lambda g: (g * scale).astype(g.dtype), updates)

    clipped: optax.GradientTransformation = optax.stateless(clip)
    return clipped


def pass_over(
    optimizer: optax.GradientTransformation, *, counts: bool, scheduled: bool
) -> optax.GradientTransformationExtraArgs:
    """A parameter whose gradient is None stays as it is, and so does its state.

    Args:
      optimizer: an optimizer of parameters that have all taken the same number of steps.
      counts: whether a step depends on that number. Then the state stays only if no parameter has a
        gradient, because all parameters share one count.
      scheduled: whether a schedule drives the learning rate; its count goes on in any case.
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
    """Zero updates and an unchanged state where `is_frozen(params)`, a tree of booleans, is True.

    The optimizer gets None in place of a frozen parameter's gradient.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def init(params: Any) -> Any:
        is_frozen(params)  # checks the arrangement of the parameters
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
    """The new state, with the old state's slots where the gradient was None."""
    return jax.tree.map(lambda n, o: o if n is None else n, new, old, is_leaf=_is_none)
