"""Differences between the frameworks outside the optimizers: gradient clipping, and a changing β1.

Each formula exists as text, for docs/optimizers-by-framework.md, and in NumPy. The tests compare
the NumPy form with the framework's own call and with our equivalent.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Line(NamedTuple):
    """What one framework does.

    Attributes:
      framework: its name in the table.
      call: the call in the framework.
      formula: a key of the section's formulas.
      here: our equivalent call.
    """

    framework: str
    call: str
    formula: str
    here: str


class Section(NamedTuple):
    """One difference.

    Attributes:
      title: its heading.
      says: its consequence.
      formulas: each formula, and its NumPy form.
      lines: one line for each framework.
    """

    title: str
    says: str
    formulas: dict[str, Callable[..., np.ndarray]]
    lines: list[Line]


def _clipped(epsilon: float) -> Callable[[np.ndarray, float], np.ndarray]:
    return lambda g, c: g * min(1.0, c / (float(np.linalg.norm(g)) + epsilon))


def _corrected(
    correction: Callable[[Sequence[float]], float],
) -> Callable[[Any, Sequence[float]], np.ndarray]:
    """m̂ of the last step, from the gradients and the β1 of each step."""

    def m_hat(gs: Any, b1s: Sequence[float]) -> np.ndarray:
        m: Any = 0.0
        for g, b1 in zip(gs, b1s):
            m = b1 * m + (1 - b1) * g
        return np.asarray(m / correction(b1s))

    return m_hat


_PLAIN, _LONGER = "g ← g min(1, c / ‖g‖)", "g ← g min(1, c / (‖g‖ + 1e-6))"
_LAST, _ALL = "m̂ = m / (1 − β1(t)^t)", "m̂ = m / (1 − β1(1) β1(2) … β1(t))"

CLIPPING = Section(
    "Clipping by the norm: 1e-6 in the denominator",
    "torch's clipped gradient is shorter by the fraction 1e-6 / (‖g‖ + 1e-6). This is negligible "
    "for norms near 1, but 9 % if ‖g‖ is 1e-5. c is the largest allowed norm; ‖g‖ is the norm "
    "over all parameters.",
    {_PLAIN: _clipped(0.0), _LONGER: _clipped(1e-6)},
    [
        Line("optax", "clip_by_global_norm(c)", _PLAIN, "optax.clip_by_global_norm(c)"),
        Line(
            "torch",
            "clip_grad_norm_(net.parameters(), c)",
            _LONGER,
            "conventions.torch.clip_grad_norm(c)",
        ),
        Line("Keras 3", "SGD(1.0, global_clipnorm=c)", _PLAIN, "optax.clip_by_global_norm(c)"),
    ],
)
CYCLED = Section(
    "Adam's bias correction where β1 changes",
    "OneCycleLR and CyclicLR set β1 at each step. torch corrects the bias as if the current β1 "
    "had been used from the start, and so does optax's `inject_hyperparams`. The exact "
    "correction would divide by the sum of m's weights, 1 − β1(1) β1(2) … β1(t). In Keras, β1 "
    "is a constant.",
    {
        _LAST: _corrected(lambda b1s: 1 - b1s[-1] ** len(b1s)),
        _ALL: _corrected(lambda b1s: 1 - float(np.prod(b1s))),
    },
    [
        Line(
            "optax",
            "inject_hyperparams(adam)(α, b1=β1)",
            _LAST,
            "conventions.torch.adam(α, betas=(β1, 0.999))",
        ),
        Line(
            "torch",
            "OneCycleLR(adam, max_lr=α, total_steps=T)",
            _LAST,
            "conventions.torch.adam(α, betas=(β1, 0.999))",
        ),
    ],
)
SECTIONS = [CLIPPING, CYCLED]


def markdown() -> list[str]:
    """The lines of both sections."""
    lines: list[str] = []
    for section in SECTIONS:
        lines += ["", f"## {section.title}", "", section.says, ""]
        lines += ["| framework | its call | formula | here |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {x.framework} | `{x.call}` | {x.formula} | `{x.here}` |" for x in section.lines
        ]
    return lines
