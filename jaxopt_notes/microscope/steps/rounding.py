"""The distance of an optimizer from its equation, and the distance that rounding allows."""

from typing import Any

import numpy as np

from jaxopt_notes.microscope.steps.families import Array, Structure, directions
from jaxopt_notes.microscope.steps.probes import Record

TRUST = 64.0  # the roundings allowed to an implementation
UNIT = {"β1", "β2", "τ", "μ"}  # hyperparameters in [0, 1)


def finite(record: Record) -> Record:
    """The record without the elements that became infinite or NaN."""
    good = np.isfinite(record.moves).all(0)
    if good.all():
        return record
    conditions = record.conditions
    conditions = conditions._replace(
        gradients=conditions.gradients[:, good], params=conditions.params[:, good]
    )
    return Record(conditions, record.moves[:, good], record.roundoff)


def coarse_weights(record: Record) -> Array:
    """Weights: 1 over an element's largest move, or over the median move if it never moves."""
    largest = np.abs(record.moves).max(0)
    usual = np.median(largest[largest > 0]) if (largest > 0).any() else 1.0
    largest = np.where(largest > 0, largest, usual)
    return np.broadcast_to(1 / (largest + 1e3 * record.rounding.max(0)), record.moves.shape)


def allowances(
    structure: Structure, h: dict[str, float], α: float, record: Record, **how: Any
) -> Array:
    """(T, n), how far rounding may move the equation's result.

    Measured by running the equation again with gradients and decay rates changed by one rounding.
    """
    u, random, conditions = record.roundoff, np.random.default_rng(0), record.conditions
    plain, _ = directions(structure, h, conditions, **how)
    spread = np.abs(plain) * u
    for sign in (1, -1):
        noise = 1 + u * random.normal(size=conditions.gradients.shape)
        off = conditions._replace(gradients=conditions.gradients * noise)
        near = {k: v * (1 + sign * u) if k in UNIT else v for k, v in h.items()}
        for moved in (
            directions(structure, h, off, **how),
            directions(structure, near, conditions, **how),
        ):
            spread = np.maximum(spread, np.abs(moved[0] - plain))
    spread = np.maximum.accumulate(spread, axis=0) * 0.1 + spread
    allowed: Array = TRUST * (record.rounding + abs(α) * spread) + 1e-290
    return allowed


def discrepancies(
    structure: Structure, values: dict[str, float], record: Record, **how: Any
) -> Array:
    """(T,), the largest discrepancy of each step in units of the rounding allowance.

    Args:
      structure: the equation.
      values: its numbers by letter.
      record: the record of the optimizer's steps.
      **how: `memory` and `rate_inside`, as `families.directions` has them.
    """
    record = finite(record)
    if not record.moves.shape[1]:
        return np.full(len(record.moves), np.inf)
    d, _ = directions(structure, values, record.conditions, **how)
    α = values["α"]
    expected = -α * d - values.get("αλ", 0.0) * record.conditions.params
    allowed = allowances(structure, values, α, record, **how)
    ratio: Array = (np.abs(record.moves - expected) / allowed).max(1, initial=0.0)
    return ratio
