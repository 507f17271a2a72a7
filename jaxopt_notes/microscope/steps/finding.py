"""The finding of a probe, and the comparison of an optimizer with its equation."""

from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.microscope.steps.families import Structure
from jaxopt_notes.microscope.steps.fitting import Fit
from jaxopt_notes.microscope.steps.probes import Record
from jaxopt_notes.microscope.steps.rounding import discrepancies


class Finding(NamedTuple):
    """The finding of a probe.

    Attributes:
      remarks: behaviour in which correct optimizers differ.
      deviations: faults.
      undecided: questions that the probe could not decide.
      not_examined: behaviour that the probe could not examine.
      fit: the equation, extended by the probe.
      rate_inside: whether the learning rate is inside the velocity; None if unknown.
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
    """The record, with other conditions."""
    return record._replace(conditions=record.conditions._replace(**changes))


def counts_matter(s: Structure) -> bool:
    """Whether the equation depends on the step counter."""
    return bool(s.corrects) or s.fading
