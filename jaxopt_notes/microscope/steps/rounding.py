"""How far rounding may take an optimizer from its equation, and how far it is."""

from typing import Any

import numpy as np

from jaxopt_notes.microscope.steps.families import Array, Structure, directions
from jaxopt_notes.microscope.steps.probes import Record

TRUST = 64.0  # how many roundings an implementation may be off
UNIT = {"β1", "β2", "τ", "μ"}  # hyperparameters in [0, 1)


def finite(record: Record) -> Record:
    """The record without the elements that became infinite or NaN."""
    good = np.isfinite(record.moves).all(0)
    if good.all():
        return record
    given = record.given
    given = given._replace(gradients=given.gradients[:, good], params=given.params[:, good])
    return Record(given, record.moves[:, good], record.roundoff)


def coarse_weights(record: Record) -> Array:
    """Each element relative to its largest move; one that stands still, to the median of them."""
    largest = np.abs(record.moves).max(0)
    usual = np.median(largest[largest > 0]) if (largest > 0).any() else 1.0
    largest = np.where(largest > 0, largest, usual)
    return np.broadcast_to(1 / (largest + 1e3 * record.rounding.max(0)), record.moves.shape)


def allowances(
    structure: Structure, h: dict[str, float], α: float, record: Record, **how: Any
) -> Array:
    """(T, n), by how much rounding may move what the equation gives.

    Measured: the equation is run again with gradients and decay rates off by one rounding.
    """
    u, random, given = record.roundoff, np.random.default_rng(0), record.given
    plain, _ = directions(structure, h, given, **how)
    spread = np.abs(plain) * u
    for sign in (1, -1):
        noise = 1 + u * random.normal(size=given.gradients.shape)
        off = given._replace(gradients=given.gradients * noise)
        near = {k: v * (1 + sign * u) if k in UNIT else v for k, v in h.items()}
        for moved in (
            directions(structure, h, off, **how),
            directions(structure, near, given, **how),
        ):
            spread = np.maximum(spread, np.abs(moved[0] - plain))
    spread = np.maximum.accumulate(spread, axis=0) * 0.1 + spread
    allowed: Array = TRUST * (record.rounding + abs(α) * spread) + 1e-290
    return allowed


def discrepancies(
    structure: Structure, values: dict[str, float], record: Record, **how: Any
) -> Array:
    """(T,), the largest discrepancy of each step in units of what rounding allows.

    Args:
      structure: the equation.
      values: its numbers by letter.
      record: what the optimizer did.
      **how: `memory` and `rate_inside`, as `families.directions` has them.
    """
    record = finite(record)
    if not record.moves.shape[1]:
        return np.full(len(record.moves), np.inf)
    d, _ = directions(structure, values, record.given, **how)
    α = values["α"]
    expected = -α * d - values.get("αλ", 0.0) * record.given.params
    allowed = allowances(structure, values, α, record, **how)
    ratio: Array = (np.abs(record.moves - expected) / allowed).max(1, initial=0.0)
    return ratio
