"""The proof that a framework's optimizer and a rule take equal steps."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxopt_notes.transfer.recognition.frameworks import Field
from jaxopt_notes.transfer.recognition.rules import Array, Rule

_SCALES = tuple(10.0**k for k in (-12, -10, -8, -7, -6, -5, -4, -3, -2, -1, 0, 0, 1, 2, 3, 4))
_STARTS = (0.0, 1.5, -0.7)
_NEAR = 1e-12


class Side:
    """A rule with its accumulators, stepped on many elements at once."""

    def __init__(self, rule: Rule, numbers: Mapping[int, Array], slots: list[Array]) -> None:
        self.rule, self.numbers, self.slots = rule, numbers, slots

    def look(self, row: int, g: Array, p: Array) -> tuple[Array, list[Array]]:
        """The update and the accumulators after a step, without taking it."""
        at = {i: x[row] for i, x in self.numbers.items()}
        update, new = self.rule.step(at, g, p, self.slots)
        return np.broadcast_to(update, g.shape), [np.broadcast_to(x, g.shape) for x in new]


def gradients(steps: int, elements: int) -> Array:
    """(T, n) gradients, one scale for each element; signs change, and some are 0."""
    random = np.random.default_rng(0)
    sizes = np.resize(np.repeat(_SCALES, len(_STARTS)), elements)
    normal = random.normal(size=(steps, elements)) * (random.random((steps, elements)) > 0.15)
    normal[:, 5::7] *= np.arange(steps)[:, None] < 6  # a few gradients, then zeros
    return sizes * normal


def parameters(steps: int, elements: int) -> Array:
    """(T, n) parameters; some stay 0, where steps show without rounding."""
    random = np.random.default_rng(1)
    starts = np.resize(_STARTS, elements)
    return starts * (1 + 0.1 * random.normal(size=(steps, elements)))


def elements(samples: int) -> int:
    """The number of elements: each gradient scale with each parameter, samples included."""
    return max(2, -(-samples // 16)) * len(_SCALES) * len(_STARTS)


def parts(mine: Side, other: Side, fields: list[Field], walked: int, rows: int) -> str:
    """Steps both, and says where they differ; "" if nowhere.

    Args:
      mine: a rule and its accumulators.
      other: the framework's rule, whose accumulators correspond to those of `mine`.
      fields: how to compute the framework's accumulators from those of `mine`.
      walked: how many steps follow one another; each remaining step is then tested alone, at
        another count.
      rows: the number of steps.
    """
    size = len(mine.slots[0]) if mine.slots else elements(0)
    g, p = gradients(rows, size), parameters(rows, size)
    largest = np.zeros(size)
    for k in range(rows):
        update, new = mine.look(k, g[k], p[k])
        there, after = other.look(k, g[k], p[k])
        with np.errstate(all="ignore"):
            largest = np.fmax(largest, np.abs(update))
            allowed = _NEAR * np.abs(update) + 1e-14 * largest + 1e-15 * np.abs(p[k])
            if not _same(update, there, allowed):
                return "its steps"
            for x, field in zip(after, fields):
                y = field.of(new[field.place])
                if not _same(y, x, _NEAR * np.abs(y) + 1e-14 * np.nanmax(np.abs(y), initial=0.0)):
                    return "its accumulators"
        if k < walked:
            mine.slots, other.slots = new, after
    return ""


def _same(x: Any, y: Any, allowed: Any) -> bool:
    both = np.isnan(x) & np.isnan(y)
    return bool((both | (x == y) | (np.abs(x - y) <= allowed)).all())
