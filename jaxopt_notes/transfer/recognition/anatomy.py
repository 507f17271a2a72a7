"""The parts of an optimizer's equation, and their numbers, measured on its rule.

    x = ±g + λ θ                       climbs, coupled
    m ← β1 m + b x                     a first moment, or a velocity
    v ← β2 v + q x²  (or v + q x²)     a second moment
    d = x, x / √v, m̂ / √v̂              the direction, with ε somewhere in the root's place
    w ← μ w + b d                      a velocity of directions
    θ ← θ − α (d or w) − α λ θ         decoupled

A rule is a function of one gradient, one parameter and the accumulators, so each number shows by
itself where the others are put out of action: a huge v hides ε, a tiny one shows nothing else.
That the parts are all there is, the proof decides, not this measurement.
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
    """The parts of a rule. What changes with the steps has an entry for each step looked at.

    Attributes:
      kind: "sgd", "adagrad", "rmsprop" or "adam".
      rate: the learning rate.
      climbs: it adds the gradient.
      coupled: λ inside the gradient.
      decoupled: λ beside the step.
      places: the accumulators' places by role: "first", "second", "largest", "velocity".
      scales: by role, what makes the accumulator the equation's: (1 − β) x² in it, and so on.
      momentum: μ of the velocity.
      nesterov: the velocity looks ahead.
      push: what enters the velocity of a gradient, or of a direction.
      pull: what enters the update of the velocity.
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
    """Asks a rule at all steps at once."""

    def __init__(self, rule: Rule, numbers: Mapping[int, Array], length: int) -> None:
        self.rule, self.numbers, self.length = rule, numbers, length

    def ask(self, g: float = 0.0, p: float = 0.0, **slots: Any) -> tuple[Array, list[Array]]:
        """(K,) the update, and each accumulator after; an accumulator is named a0, a1, …."""
        given = [np.reshape(slots.get(f"a{i}", 0.0), (-1, 1)) for i in range(len(self.rule.slots))]
        update, new = self.rule.step(self.numbers, np.full((1, 1), g), np.full((1, 1), p), given)
        shape = (self.length, 1)
        return (
            np.broadcast_to(update, shape)[:, 0],
            [np.broadcast_to(x, shape)[:, 0] for x in new],
        )

    def others(self, i: int) -> set[int]:
        """The other accumulators that one is made of."""
        return {k - 2 for k in self.rule.depends(self.rule.new[i]) if k >= 2} - {i}


def rate_of(a: Array) -> tuple[Array, bool]:
    """The size of a step against the gradient, and whether it is with the gradient instead.

    A schedule that ends at 0 in float32 may end a little beyond it: that sign is rounding.
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
    """The same with the exact number at every step, if it is one number."""
    return np.full_like(x, snap(float(x[0]), constants)) if steady(x) else x


def constant(name: str, x: Array, constants: set[float]) -> float:
    if not steady(x):
        raise UnlikeError(f"its {name} changes with the steps")
    return snap(float(x[0]), constants)


def ratio(
    name: str, x: Array, by: Array, constants: set[float], *, rounding: bool = False
) -> float:
    """x / by, which must be one number.

    Args:
      name: what it is called.
      x: for each step.
      by: likewise; steps where it is 0 are left out.
      constants: those of the program.
      rounding: x is a difference of numbers near 1, as (1 − αλ) θ − θ is.
    """
    k = int(np.argmax(np.abs(by)))
    value = float(x[k] / by[k])
    if value == 0:
        return 0.0
    allowed = 6e-17 / np.abs(x[k]) if rounding else 0.0
    slack = 4e-16 * rounding + _SAME * np.abs(x)
    if not (np.abs(x - value * by) <= slack).all():
        raise UnlikeError(f"its {name} is not in step with its learning rate")
    return snap(value, constants, 4e-15 + allowed)


def equal(x: Any, y: Any, tolerance: float = _SAME) -> bool:
    return bool(np.all(np.abs(x - y) <= tolerance * np.maximum(np.abs(x), np.abs(y))))


def steady(x: Array) -> bool:
    return equal(x, x[-1] if len(x) else x, 1e-10)


def whole(scale: float) -> float:
    """1 where a scale is that but for rounding."""
    return 1.0 if abs(scale - 1) < 1e-12 else scale
