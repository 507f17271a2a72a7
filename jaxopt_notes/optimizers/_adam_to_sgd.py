"""Adam, then SGD with momentum: the notes' second remedy for Adam's poorer minima.

    k ≤ T      Adam:  p_k = −α_k m̂_k / (√v̂_k + ε),  w ← w + p_k
    k > T      SGD:   v_k = β v_{k−1} + g_k,        w ← w − η v_k

Three rules set SGD's learning rate η and its first velocity v_T:

    plain      η given; v_T = 0
    momentum   η given; v_T = m_T / (1 − β). With β = β1 this is exactly the velocity of a heavy
               ball on Adam's path: m_T = (1 − β1) Σ β1^{T−i} g_i. With another β it is the
               velocity that a constant gradient m_T sustains.
    swats      η = (1 − β) Λ and v_T = 0, with Λ from Adam's own steps:
                   γ_k = p_kᵀ p_k / (−p_kᵀ g_k)      the learning rate at which SGD's step,
                                                     projected on Adam's, is Adam's step; over
                                                     all parameters
                   λ_k = β2 λ_{k−1} + (1 − β2) γ_k   where p_kᵀ g_k = 0: λ_k = λ_{k−1}
               T is the first k > 1 with |λ_k / (1 − β2^k) − γ_k| < ε_s, and Λ = λ_T / (1 − β2^T).

The paper leaves two cases open. γ is negative where Adam's step climbs, so Λ may be negative; then
no switch happens. Under a schedule α_k, λ averages γ_k / α_k, and SGD's learning rate is that
average times α_k, before and after the switch; at a constant α this is the paper's rule.

The paper's ε_s is 1e-9. Two float32 numbers of a learning rate's size differ by less only if they
are equal.

Source: Keskar & Socher 2017, "Improving Generalization Performance by Switching from Adam to SGD",
Algorithm 1. The paper adds Adam's ε before the bias correction; this module adds it after, as
`_adam.py` does.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike, DTypeLike

from jaxopt_notes.optimizers._adam import adam
from jaxopt_notes.optimizers._handover import (
    Carry,
    HandoverState,
    When,
    check_when,
    find_handover,
    handover,
)
from jaxopt_notes.optimizers._learning_rate import scale_by_learning_rate
from jaxopt_notes.optimizers._momentum import sgd, trace
from jaxopt_notes.optimizers.checks import check_decay, check_not_negative
from jaxopt_notes.optimizers.engine import increment
from jaxopt_notes.optimizers.moments import correction

CARRIES = ("plain", "momentum", "swats")


class ProjectedRateState(NamedTuple):
    """Adam's state and the estimate of SGD's learning rate from Adam's steps.

    Attributes:
      step: int32, k.
      average: λ_k, the average of γ / α.
      gamma: γ_k; infinite where the step was skipped.
      rate: λ_k / (1 − β2^k) · α_k.
      inner: the optimizer's own state.
    """

    step: jax.Array
    average: jax.Array
    gamma: jax.Array
    rate: jax.Array
    inner: Any


class FoundRateState(NamedTuple):
    """SGD's learning rate as estimated by SWATS; both fields are 0 before the switch.

    Attributes:
      ratio: SGD's learning rate divided by Adam's, (1 − β) Λ / α_T.
      rate: the `learning_rate` of `sgd` at the switch, (1 − β) Λ.
    """

    ratio: jax.Array
    rate: jax.Array


def adam_to_sgd(
    learning_rate: optax.ScalarOrSchedule,
    switch_step: int | None = None,
    sgd_learning_rate: optax.ScalarOrSchedule | None = None,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
    momentum: ArrayLike | None = None,
    accumulator_dtype: DTypeLike | None = None,
    *,
    carry: str = "swats",
    switch_eps: ArrayLike = 1e-9,
    earliest_switch: int = 2,
) -> optax.GradientTransformationExtraArgs:
    """Adam for `switch_step` steps, or until SWATS' criterion holds; then SGD with momentum.

    In float16 the default ε is 0 and a gradient of exactly zero gives NaN, as in optax: set `eps`
    to 1e-4 or more, or keep the parameters in float32.

    Args:
      learning_rate: α, a number or a schedule.
      switch_step: T, the number of Adam's steps; None lets SWATS' criterion choose T (carry="swats"
        only).
      sgd_learning_rate: η, a number or a schedule that counts all steps, those before the switch
        included. "plain" and "momentum" need it; "swats" estimates it.
      b1: β1 in [0, 1).
      b2: β2 in [0, 1).
      eps: ε ≥ 0, outside the root.
      eps_root: ε_root ≥ 0, inside the root.
      mu_dtype: dtype of m; None takes the parameters'.
      momentum: β in [0, 1) of the heavy ball; None takes β1.
      accumulator_dtype: dtype of the velocity; None takes the parameters'.
      carry: "plain", "momentum" or "swats": the rule for SGD's start.
      switch_eps: ε_s ≥ 0 of SWATS' criterion.
      earliest_switch: the first k at which the criterion is checked; the paper's k > 1 is 2.

    Returns:
      `handover(adam(…), sgd(…))`. With "swats", a `ProjectedRateState` holds Adam's state, and a
      `FoundRateState` lies between SGD's velocity and its learning rate. With "swats" and a
      `switch_step`, the switch waits until Λ is above 0.

    Raises:
      ValueError: an argument is outside its interval, missing, or not for this `carry`.
      TypeError: an argument is not a number.

    >>> import jax, jax.numpy as jnp, optax
    >>> from jaxopt_notes import adam_to_sgd
    >>> optimizer = adam_to_sgd(0.1, 10, sgd_learning_rate=0.05, carry="momentum")
    >>> theta = jnp.array([1.0, -2.0])
    >>> state, update = optimizer.init(theta), jax.jit(optimizer.update)
    >>> for _ in range(200):
    ...     updates, state = update(2 * theta, state)  # of the loss θ·θ
    ...     theta = optax.apply_updates(theta, updates)
    >>> print(state.switched_at, [f"{abs(x):.2f}" for x in theta])
    10 ['0.00', '0.00']
    """
    beta = b1 if momentum is None else momentum
    check_decay("b1" if momentum is None else "momentum", beta)
    check_not_negative("switch_eps", switch_eps)
    _check_carry(carry, switch_step, sgd_learning_rate)
    begin = adam(learning_rate, b1, b2, eps, eps_root, mu_dtype)
    if carry == "swats":
        measured = _project_rate(begin, learning_rate, b2)
        when = _criterion(switch_step, switch_eps, earliest_switch)
        end = _sgd_at_found_rate(learning_rate, beta, accumulator_dtype)
        return handover(measured, end, when, _take_rate(beta, b2))
    if switch_step is None or sgd_learning_rate is None:
        raise ValueError(f"carry={carry!r} needs switch_step and sgd_learning_rate")

    def velocity_from_moment(first: Any, second: Any) -> Any:
        velocity = jax.tree.map(lambda m: m / (1 - beta), first[0].mu)
        return (optax.TraceState(velocity), *second[1:])

    end = sgd(sgd_learning_rate, beta, accumulator_dtype=accumulator_dtype)
    return handover(begin, end, switch_step, velocity_from_moment if carry == "momentum" else None)


def found_rate(state: Any) -> float | None:
    """SGD's learning rate as estimated by SWATS; None without SWATS or before its switch.

    The value is (1 − β) Λ, the `learning_rate` of `sgd` at the switch.
    """
    switch = find_handover(state)
    if switch is None or int(switch.switched_at) < 0:
        return None
    rates = [x for x in jax.tree.leaves(switch.second, is_leaf=_is_found) if _is_found(x)]
    return float(rates[0].rate) if rates else None


def _criterion(switch_step: int | None, eps: ArrayLike, earliest: int) -> When:
    """Whether Adam's last step is reached: k = T, or |λ_k / (1 − β2^k) − γ_k| < ε_s; and Λ > 0."""

    def when(state: HandoverState, updates: optax.Updates) -> jax.Array:
        seen = state.first
        if switch_step is None:
            due = (seen.step >= earliest) & (jnp.abs(seen.rate - seen.gamma) < eps)
        else:
            due = state.steps >= switch_step
        possible: jax.Array = due & (seen.rate > 0)
        return possible

    return when


def _take_rate(beta: Any, b2: ArrayLike) -> Carry:
    """Passes the learning rate on to SGD; the velocity stays 0."""

    def carry(first: ProjectedRateState, second: Any) -> Any:
        ratio = (1 - beta) * first.average / correction(b2, first.step)
        return (second[0], FoundRateState(ratio, (1 - beta) * first.rate), *second[2:])

    return carry


def projected_rate(p: optax.Updates, g: optax.Updates) -> jax.Array:
    """γ = pᵀp / (−pᵀg) over all leaves; infinite where pᵀg is 0, or the quotient not finite."""
    pairs = list(zip(jax.tree.leaves(p), jax.tree.leaves(g)))
    p_p = sum((_dot(p, p) for p, _ in pairs), jnp.zeros([]))
    p_g = sum((_dot(p, g) for p, g in pairs), jnp.zeros([]))
    gamma = p_p / jnp.where(p_g == 0, 1, -p_g)
    return jnp.where((p_g != 0) & jnp.isfinite(gamma), gamma, jnp.inf)


def _project_rate(
    inner: optax.GradientTransformation, learning_rate: optax.ScalarOrSchedule, b2: ArrayLike
) -> optax.GradientTransformation:
    """The inner optimizer unchanged, with λ kept beside it."""

    def init(params: optax.Params) -> ProjectedRateState:
        # In one program: outside jit, each operation would be compiled for each shape of a leaf.
        zero, like = jnp.zeros([], jnp.int32), jax.jit(projected_rate)(params, params)
        average, gamma, rate = (jnp.zeros_like(like) for _ in range(3))
        return ProjectedRateState(zero, average, gamma, rate, inner.init(params))

    def update(g: optax.Updates, state: Any, params: optax.Params | None = None) -> Any:
        p, inner_state = inner.update(g, state.inner, params)
        alpha = learning_rate(state.step) if callable(learning_rate) else learning_rate
        gamma = projected_rate(p, g)
        used = jnp.isfinite(gamma)  # then α is not 0, because p is not 0
        new = b2 * state.average + (1 - b2) * (gamma / jnp.where(used, alpha, 1))
        average = jnp.where(used, new, state.average)
        k = increment(state.step)
        rate = average / correction(b2, k) * alpha
        average, gamma, rate = (x.astype(state.rate.dtype) for x in (average, gamma, rate))
        return p, ProjectedRateState(k, average, gamma, rate, inner_state)

    return optax.GradientTransformation(init, update)


def _sgd_at_found_rate(
    learning_rate: optax.ScalarOrSchedule, beta: ArrayLike, accumulator_dtype: DTypeLike | None
) -> optax.GradientTransformation:
    """SGD whose learning rate is the estimated multiple of Adam's α_k."""

    def init(params: optax.Params) -> FoundRateState:
        dtype = jax.eval_shape(projected_rate, params, params).dtype
        return FoundRateState(jnp.zeros([], dtype), jnp.zeros([], dtype))

    def update(v: optax.Updates, state: FoundRateState, params: Any = None) -> Any:
        return jax.tree.map(lambda v: state.ratio.astype(v.dtype) * v, v), state

    return optax.chain(
        trace(beta, accumulator_dtype=accumulator_dtype),
        optax.GradientTransformation(init, update),
        scale_by_learning_rate(learning_rate),
    )


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    """The real inner product, at least in float32: half precision is too coarse for a sum."""
    dtype = jnp.promote_types(jnp.result_type(a, b), jnp.float32)
    # A sum, because `vdot` flattens, which gathers a sharded array on one device, and JAX refuses
    # `tensordot` on a mesh with explicit axes.
    product: jax.Array = jnp.asarray(a, dtype).conj() * jnp.asarray(b, dtype)
    return product.real.sum()


def _is_found(x: Any) -> bool:
    return isinstance(x, FoundRateState)


def _check_carry(carry: str, switch_step: Any, sgd_learning_rate: Any) -> None:
    if carry not in CARRIES:
        raise ValueError(f"carry={carry!r} is not one of {', '.join(CARRIES)}")
    if carry == "swats" and sgd_learning_rate is not None:
        raise ValueError("carry='swats' finds sgd_learning_rate by itself; leave it out")
    if switch_step is not None:
        check_when("switch_step", switch_step)
