"""Behaviour that the ordinary run does not show: long runs, several arrays, a matrix, a save.

Each probe compares the optimizer with the equation of its ordinary steps, modified by each known
fault in turn. It names the first fault that explains the steps.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np

from jaxopt_notes.errors import InputError
from jaxopt_notes.microscope.steps.families import Array, directions, fresh
from jaxopt_notes.microscope.steps.finding import Finding, counts_matter, given_as, holds
from jaxopt_notes.microscope.steps.fitting import Fit, refit
from jaxopt_notes.microscope.steps.probes import LONG, Laboratory, Record
from jaxopt_notes.microscope.steps.rounding import discrepancies


def long_run(laboratory: Laboratory, fit: Fit, records: list[Record]) -> Finding:
    """320 steps: finds a step counter that stops or restarts."""
    random = np.random.default_rng(7).normal(size=LONG)
    ones = np.ones(LONG)
    gradients = np.array([ones, 1e-3 * ones, random, 1e-6 * random, 1e2 * random]).T
    record = laboratory.alone(gradients, np.zeros(5))
    unseen = (f"steps after the first {LONG}",)
    off = discrepancies(fit.structure, fit.values, record) > 16
    if not off.any():
        return Finding(fit, not_examined=unseen)
    k = int(np.argmax(off))
    t = record.conditions.counts
    ways = {
        f"the step counter stops at {k}": np.minimum(t, k),
        f"the step counter starts again after {k}": (t - 1) % max(k, 1) + 1,
    }
    for sentence, counts in ways.items() if counts_matter(fit.structure) else ():
        if holds(fit, given_as(record, counts=counts), slack=16):
            return Finding(fit, deviations=(sentence,))
    closer = refit(fit, [*records, record])  # ε shows only after the initial value has decayed
    if closer.explains:
        return Finding(closer, not_examined=unseen)
    return Finding(fit, unexplained=f"from step {k + 1} on it no longer follows its own equation")


def several_arrays(laboratory: Laboratory, fit: Fit) -> Finding:
    """Three arrays: checks their counters, and steps without a gradient."""
    random = np.random.default_rng(3)
    start = {"w": np.array([0.0, 0.0, 1.5, -0.7]), "b": np.zeros(3), "c": np.zeros(2)}
    steps = 10
    gradients = {n: random.normal(size=(steps, len(p))) for n, p in start.items()}
    laboratory.begin(start)
    records = laboratory.walk(gradients)
    whole = np.sqrt(sum((g**2).sum(1, keepdims=True) for g in gradients.values()))
    for sentence, deviates, changes in _array_ways(fit, records, whole):
        if all(holds(fit, given_as(r, **changes[n])) for n, r in records.items()):
            words = (sentence,) if sentence else ()
            if deviates:
                return Finding(fit, deviations=words)
            return _without_gradient(laboratory, Finding(fit, remarks=words), start, gradients)
    return Finding(fit, unexplained="several arrays step differently from one array alone")


def _array_ways(
    fit: Fit, records: dict[str, Record], whole: Array
) -> Iterator[tuple[str, bool, dict[str, dict[str, Any]]]]:
    t = next(iter(records.values())).conditions.counts
    if fit.structure.clip == "norm":
        yield (
            "the norm of all arrays together is clipped",
            False,
            {name: {"norms": whole} for name in records},
        )
        yield "the norm of each array is clipped by itself", False, {name: {} for name in records}
        return
    yield "", False, {name: {} for name in records}
    if counts_matter(fit.structure):
        for order in permutations(records):
            yield (
                "the step counter rises once per array",
                True,
                {n: {"counts": len(order) * (t - 1) + order.index(n) + 1} for n in records},
            )


def _without_gradient(
    laboratory: Laboratory, finding: Finding, start: dict[str, Array], gradients: dict[str, Array]
) -> Finding:
    """The array c gets no gradient at some steps."""
    fit, missing = finding.fit, np.isin(np.arange(10), (0, 4, 5))
    if fit.structure.clip == "norm" or fit.structure.late:
        return finding
    rows: Any = {**gradients, "c": [None if m else g for m, g in zip(missing, gradients["c"])]}
    try:
        laboratory.begin(start)
        record = laboratory.walk(rows)["c"]
    except NotImplementedError:
        return finding._replace(not_examined=("an array without a gradient",))
    except InputError:  # a child that has ended
        raise
    except Exception:  # an optimizer that needs all gradients may raise anything
        return finding._replace(not_examined=("an array without a gradient, which it refuses",))
    conditions = record.conditions
    still = bool(np.all(record.moves[missing] == 0))
    part = record._replace(
        conditions=type(conditions)(*(x[~missing] for x in conditions)),
        moves=record.moves[~missing],
    )
    own = given_as(part, counts=np.arange(1, len(part.moves) + 1))
    if still and holds(fit, own):
        remark = "an array without a gradient stays as it is"
        if counts_matter(fit.structure):
            remark += ", and so does its step counter"
    elif still and holds(fit, part):
        remark = "an array without a gradient stays as it is, while its step counter rises"
    elif still and _keeps_corrected(fit, part):
        return finding._replace(deviations=(_BENT,))
    elif holds(fit, record):
        remark = "a missing gradient counts as zero"
    else:
        sentence = "after a missing gradient an array's steps follow no known rule"
        return finding._replace(deviations=(sentence,))
    return finding._replace(remarks=(*finding.remarks, remark))


_BENT = (
    "a missing gradient bends an array's averages: the step counter rises, and the averages are "
    "kept in corrected form"
)


def _keeps_corrected(fit: Fit, record: Record) -> bool:
    """Whether m / (1 − β1^t) and v / (1 − β2^t) stay constant while steps are missed."""
    s, h, memory = fit.structure, fit.values, fresh()
    counts = record.conditions.counts
    for rows in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(counts) > 1) + 1):
        part = Record(
            type(record.conditions)(*(x[rows] for x in record.conditions)),
            record.moves[rows],
            record.roundoff,
        )
        for slot, letter in (("m", "β1"), ("v", "β2")):
            if slot in s.corrects and rows[0] and memory[slot] is not None:
                before, after = counts[rows[0] - 1], counts[rows[0]] - 1
                memory[slot] = memory[slot] * (1 - h[letter] ** after) / (1 - h[letter] ** before)
        if not holds(fit, part, memory=memory):
            return False
        _, memory = directions(s, h, part.conditions, memory)
    return bool(s.corrects)


def matrix(laboratory: Laboratory, fit: Fit) -> Finding:
    """A matrix: some optimizers are not elementwise on matrices."""
    if getattr(laboratory.stepper, "vectors_only", False):
        return Finding(fit, not_examined=("matrices",))
    random = np.random.default_rng(13)
    laboratory.begin({"w": random.normal(size=(3, 4))})
    record = laboratory.walk({"w": random.normal(size=(8, 3, 4))})["w"]
    if holds(fit, record, slack=16):
        return Finding(fit)
    return Finding(fit, unexplained="a matrix steps differently from a vector")


def save_and_load(laboratory: Laboratory, fit: Fit) -> Finding:
    """Eight steps, a save, a load into a new optimizer, eight more steps."""
    stepper: Any = laboratory.stepper
    s = fit.structure
    if not (s.first or s.second or s.momentum or counts_matter(s)):
        return Finding(fit)  # nothing to remember
    random = np.random.default_rng(11).normal(size=(16, 4)) * np.array([1.0, 1e-3, 1e-6, 1.0])
    try:
        laboratory.begin({"w": np.array([0.0, 0.0, 0.0, 1.5])})
        first = laboratory.walk({"w": random[:8]})["w"]
        state = stepper.save()
        laboratory.begin(laboratory.params())
        stepper.load(state)
        second = laboratory.walk({"w": random[8:]})["w"]
    except (NotImplementedError, AttributeError):
        return Finding(fit, not_examined=("saving and loading",))
    for sentence, memory, counts in _restorations(fit, first, second):
        if holds(fit, given_as(second, counts=counts), memory=memory):
            return Finding(fit, deviations=(sentence,) * bool(sentence))
    sentence = "after save and load its steps follow no known rule"
    return Finding(fit, deviations=(sentence,))


def _restorations(
    fit: Fit, first: Record, second: Record
) -> Iterator[tuple[str, dict[str, Any], Array]]:
    s, new = fit.structure, fresh()
    _, memory = directions(s, fit.values, first.conditions)
    again = second.conditions.counts
    on = again + len(again)
    yield "", memory, on
    if counts_matter(s):
        yield "the step counter starts again after save and load", memory, again
    yield "all state is dropped by save and load", new, again
    if counts_matter(s):
        yield "the moments are dropped by save and load, the step counter is kept", new, on
    parts = {
        "first moment" if s.second or s.sign else "velocity": ("m",) if s.first else (),
        "second moment": ("v", "mean", "max") if s.second else (),
        "velocity": ("w",) if s.momentum else (),
        "running maximum": ("max",) if "max" in s.second else (),
        "step held back": ("last",) if s.late else (),
        "mean of the gradients": ("mean",) if s.second == "centred" else (),
    }
    for name, keys in parts.items():
        if keys:
            dropped = {**memory, **{key: new[key] for key in keys}}
            yield f"the {name} is dropped by save and load", dropped, on
            yield f"the {name} and the step counter are dropped by save and load", dropped, again
    if s.first and s.second:
        swapped = {**memory, "m": memory["v"], "v": memory["m"]}
        yield "save and load exchange the first and the second moment", swapped, on
