"""What a probe finds, and how it compares an optimizer with its own equation."""

from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.microscope.steps.families import Structure
from jaxopt_notes.microscope.steps.fitting import Fit
from jaxopt_notes.microscope.steps.probes import Record
from jaxopt_notes.microscope.steps.rounding import discrepancies


class Finding(NamedTuple):
    """What a probe found.

    Attributes:
      remarks: how the optimizer behaves, where optimizers rightly differ.
      deviations: faults.
      undecided: what the probe could not tell.
      not_examined: what it could not look at.
      fit: the equation with what the probe has added to it.
      rate_inside: the learning rate is inside the velocity; None where that was not seen.
      unexplained: nothing known explains what was seen: it says so.
    """

    fit: Fit
    remarks: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    not_examined: tuple[str, ...] = ()
    rate_inside: bool | None = None
    unexplained: str = ""


def holds(fit: Fit, record: Record, slack: float = 4.0, **how: Any) -> bool:
    """Whether the equation explains a record; `how` as `families.directions` has it."""
    return bool(np.all(discrepancies(fit.structure, fit.values, record, **how) <= slack))


def given_as(record: Record, **changes: Any) -> Record:
    """The record under other conditions."""
    return record._replace(given=record.given._replace(**changes))


def counts_matter(s: Structure) -> bool:
    """Whether the equation has the step counter in it."""
    return bool(s.corrects) or s.fading
