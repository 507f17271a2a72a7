"""The parts of an optimizer's equation, and their numbers, measured on its rule.

    x = ±g + λ θ                       climbs, coupled
    m ← β1 m + b x                     a first moment, or a velocity
    v ← β2 v + q x²  (or v + q x²)     a second moment
    d = x, x / √v, m̂ / √v̂              the direction, with ε somewhere in the root's place
    w ← μ w + b d                      a velocity of directions
    θ ← θ − α (d or w) − α λ θ         decoupled

A rule is a function of one gradient, one parameter and the accumulators. So each number can be
measured alone, with inputs that suppress the others: a huge v hides ε, and a tiny v isolates it.
This measurement does not show that a rule has no other parts; the proof does.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.transfer.recognition.numbers import snap
from jaxopt_notes.transfer.recognition.reasons import UnlikeError
from jaxopt_notes.transfer.recognition.rules import Rule

Array = np.ndarray
_SAME = 1e-11  # powers near 1 lose five digits in 1 − β^t


class Anatomy(NamedTuple):
    """The parts of a rule. Values that change with the step have an entry for each probed step.

    Attributes:
      kind: "sgd", "adagrad", "rmsprop" or "adam".
      rate: the learning rate.
      climbs: whether the rule follows the gradient uphill.
      coupled: λ inside the gradient.
      decoupled: λ beside the step.
      places: the accumulators' places by role: "first", "second", "largest", "velocity".
      scales: by role, the factor that turns the accumulator into the equation's, which adds (1 − β)
        x² for example.
      momentum: μ of the velocity.
      nesterov: whether the velocity looks ahead.
      push: the factor with which a gradient, or a direction, enters the velocity.
      pull: the factor with which the velocity enters the update.
      b1, b2, eps: the hyperparameters of those names.
      eps_place: "outside", "inside", "hat" or "elsewhere"; "" without ε.
    """

    kind: str
    rate: Array
    climbs: bool
    coupled: float = 0.0
    decoupled: float = 0.0
    places: Mapping[str, int] = {}
    scales: Mapping[str, float] = {}
    momentum: Array = np.zeros(1)
    nesterov: bool = False
    push: Array = np.ones(1)
    pull: Array = np.ones(1)
    b1: Array = np.zeros(1)
    b2: float = 0.0
    eps: float = 0.0
    eps_place: str = ""


class Probe:
    """Evaluates a rule at all steps at once."""

    def __init__(self, rule: Rule, numbers: Mapping[int, Array], length: int) -> None:
        self.rule, self.numbers, self.length = rule, numbers, length

    def ask(self, g: float = 0.0, p: float = 0.0, **slots: Any) -> tuple[Array, list[Array]]:
        """(K,) the update, and each new accumulator; accumulators are named a0, a1, …."""
        arrays = [np.reshape(slots.get(f"a{i}", 0.0), (-1, 1)) for i in range(len(self.rule.slots))]
        update, new = self.rule.step(self.numbers, np.full((1, 1), g), np.full((1, 1), p), arrays)
        shape = (self.length, 1)
        return (
            np.broadcast_to(update, shape)[:, 0],
            [np.broadcast_to(x, shape)[:, 0] for x in new],
        )

    def others(self, i: int) -> set[int]:
        """The other accumulators that enter an accumulator."""
        return {k - 2 for k in self.rule.depends(self.rule.new[i]) if k >= 2} - {i}


def rate_of(a: Array) -> tuple[Array, bool]:
    """The step's size per gradient, and whether the step follows the gradient.

    A schedule that ends at 0 may end slightly below 0 in float32; that sign is a rounding error.
    """
    if not np.isfinite(a).all():
        raise UnlikeError("its step is not finite")
    if not a.any():
        raise UnlikeError("its learning rate is 0", "freeze parameters by optax.set_to_zero")
    climbs = bool(a[np.argmax(np.abs(a))] > 0)
    rate = a if climbs else -a
    if (rate < -1e-6 * rate.max()).any():
        raise UnlikeError("its learning rate changes its sign")
    return rate, climbs


def settled(x: Array, constants: set[float]) -> Array:
    """The values, replaced by one exact number if they are equal at every step."""
    return np.full_like(x, snap(float(x[0]), constants)) if steady(x) else x


def constant(name: str, x: Array, constants: set[float]) -> float:
    if not steady(x):
        raise UnlikeError(f"its {name} changes with the steps")
    return snap(float(x[0]), constants)


def ratio(
    name: str, x: Array, by: Array, constants: set[float], *, rounding: bool = False
) -> float:
    """x / by, which must be one number at each step.

    Args:
      name: the name of the ratio, for the message.
      x: the numerator at each step.
      by: the denominator at each step; steps where it is 0 are left out.
      constants: those of the program.
      rounding: whether x is a difference of numbers near 1, such as (1 − αλ) θ − θ.
    """
    k = int(np.argmax(np.abs(by)))
    value = float(x[k] / by[k])
    if value == 0:
        return 0.0
    allowed = 6e-17 / np.abs(x[k]) if rounding else 0.0
    slack = 4e-16 * rounding + _SAME * np.abs(x)
    if not (np.abs(x - value * by) <= slack).all():
        raise UnlikeError(f"its {name} does not change in proportion to its learning rate")
    return snap(value, constants, 4e-15 + allowed)


def equal(x: Any, y: Any, tolerance: float = _SAME) -> bool:
    return bool(np.all(np.abs(x - y) <= tolerance * np.maximum(np.abs(x), np.abs(y))))


def steady(x: Array) -> bool:
    return equal(x, x[-1] if len(x) else x, 1e-10)


def whole(scale: float) -> float:
    """The scale, with 1 where it is 1 up to rounding."""
    return 1.0 if abs(scale - 1) < 1e-12 else scale
