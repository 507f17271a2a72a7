"""Keras 3's learning-rate schedules: the equation of each class, where k is the number of steps
taken.

    ExponentialDecay         α r^(k/T)
    InverseTimeDecay         α / (1 + r k/T)
    PolynomialDecay          (α − ω) (1 − k/T)^p + ω, k at most T; or T the next multiple of T ≥ k
    PiecewiseConstantDecay   α_i, i boundaries being below k
    CosineDecay              α c(k/T), k at most T, c(x) = (1 − ω) (1 + cos πx) / 2 + ω;
                             with warm-up from α to α' in W steps, then α' c((k − W)/T)
    CosineDecayRestarts      α c(x), x being the share of period i, its cosine m^i high, and t^i T
                             steps long

Follows Keras 3.15. `staircase` rounds k/T down. The operations are in Keras' order, because at
multiples of T rounding decides whether k/T has reached the whole number.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_notes.errors import InputError


@dataclass(frozen=True, eq=False)
class KerasSchedule:
    """A Keras schedule as a function of the steps taken; returns float32, or float64 under x64.

    Attributes:
      class_name: its class in `keras.optimizers.schedules`.
      config: the arguments of that class.

    >>> decay = {"initial_learning_rate": 0.5, "decay_steps": 10, "decay_rate": 0.25}
    >>> schedule = KerasSchedule("ExponentialDecay", decay)
    >>> print(schedule(0), schedule(5))
    0.5 0.25
    """

    class_name: str
    config: Mapping[str, Any]

    def __call__(self, count: Any) -> jax.Array:
        return _EQUATIONS[self.class_name](_real(count), **self.config)


def schedule_of(serialized: Mapping[str, Any]) -> KerasSchedule:
    """The schedule from Keras' serialized form, which a config holds as its learning rate.

    Raises:
      InputError: the schedule is not one of Keras' own, or Keras computes it in whole numbers.
    """
    name = serialized.get("class_name")
    home = serialized.get("module") or "keras"  # older Keras versions have no "module"
    if name not in _EQUATIONS or home.partition(".")[0] != "keras":
        raise InputError(
            f"the learning rate is Keras' {name}: pass lr=, a number or a schedule of the steps"
        )
    config = {k: v for k, v in serialized["config"].items() if k != "name"}
    for argument, value in config.items():
        if not isinstance(value, (int, float, list, tuple, type(None))):
            raise InputError(f"{name}'s {argument} is a {type(value).__name__}: pass lr=")
    if isinstance(first := config.get("initial_learning_rate"), int):
        raise InputError(
            f"initial_learning_rate={first!r} is a whole number, so Keras rounds every learning "
            f"rate of this {name} to one: write {float(first)!r} there, or pass lr="
        )
    return KerasSchedule(name, config)


def _real(x: Any) -> jax.Array:
    return jnp.asarray(x, jnp.result_type(float))


def _exponential(
    k: jax.Array,
    initial_learning_rate: float,
    decay_steps: float,
    decay_rate: float,
    staircase: bool = False,
) -> jax.Array:
    p = k / decay_steps
    return initial_learning_rate * jnp.power(_real(decay_rate), jnp.floor(p) if staircase else p)


def _inverse_time(
    k: jax.Array,
    initial_learning_rate: float,
    decay_steps: float,
    decay_rate: float,
    staircase: bool = False,
) -> jax.Array:
    p = k / decay_steps
    return initial_learning_rate / (1 + decay_rate * (jnp.floor(p) if staircase else p))


def _polynomial(
    k: jax.Array,
    initial_learning_rate: float,
    decay_steps: float,
    end_learning_rate: float = 0.0001,
    power: float = 1.0,
    cycle: bool = False,
) -> jax.Array:
    start, end, steps = _real(initial_learning_rate), _real(end_learning_rate), _real(decay_steps)
    if cycle:
        steps = steps * jnp.where(k == 0, 1.0, jnp.ceil(k / steps))
    else:
        k = jnp.minimum(k, steps)
    # Under jit k/T may exceed 1 by rounding; the root of a negative number would be NaN, as in
    # Keras.
    left = jnp.maximum(1 - k / steps, 0)
    return (start - end) * jnp.power(left, _real(power)) + end


def _piecewise(k: jax.Array, boundaries: Sequence[float], values: Sequence[float]) -> jax.Array:
    below = sum((k > int(b)).astype(int) for b in boundaries)
    return _real(values)[below]


def _cosine(
    k: jax.Array,
    initial_learning_rate: float,
    decay_steps: float,
    alpha: float = 0.0,
    warmup_target: float | None = None,
    warmup_steps: float = 0,
) -> jax.Array:
    start, steps, warmup = _real(initial_learning_rate), _real(decay_steps), _real(warmup_steps)

    def decayed(top: jax.Array, k: jax.Array) -> jax.Array:
        cosine = 0.5 * (1 + jnp.cos(_real(jnp.pi) * (k / steps)))
        return top * ((1 - alpha) * cosine + alpha)

    if warmup_target is None:
        return decayed(start, jnp.minimum(k, steps))
    top, k = _real(warmup_target), jnp.minimum(k, steps + warmup)
    return jnp.where(k < warmup, (top - start) * (k / warmup) + start, decayed(top, k - warmup))


def _restarts(
    k: jax.Array,
    initial_learning_rate: float,
    first_decay_steps: float,
    t_mul: float = 2.0,
    m_mul: float = 1.0,
    alpha: float = 0.0,
) -> jax.Array:
    t, m, end = _real(t_mul), _real(m_mul), _real(alpha)
    periods = k / _real(first_decay_steps)
    if t_mul == 1:
        i = jnp.floor(periods)
        share = periods - i
    else:
        # In float32 even under x64, as in Keras on JAX: float32's rounding decides where a period
        # begins.
        grown = (1.0 - periods * (1.0 - t)).astype(jnp.float32)
        i = jnp.floor(jnp.log(grown) / jnp.log(t.astype(jnp.float32))).astype(t.dtype)
        begun = (1.0 - jnp.power(t, i)) / (1.0 - t)
        share = (periods - begun) / jnp.power(t, i)
    cosine = 0.5 * jnp.power(m, i) * (1.0 + jnp.cos(_real(jnp.pi) * share))
    return initial_learning_rate * ((1 - end) * cosine + end)


_EQUATIONS: dict[str, Callable[..., jax.Array]] = {
    "ExponentialDecay": _exponential,
    "InverseTimeDecay": _inverse_time,
    "PolynomialDecay": _polynomial,
    "PiecewiseConstantDecay": _piecewise,
    "CosineDecay": _cosine,
    "CosineDecayRestarts": _restarts,
}
