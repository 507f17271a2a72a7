"""What shows only beside the ordinary run: long runs, a new learning rate, several arrays, a save.

Each probe compares the optimizer with the equation that explains its ordinary steps, under each of
the known ways to go wrong, and names the first that explains what it did.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.errors import InputError
from jaxopt_notes.microscope.steps.families import Array, Structure, directions, fresh
from jaxopt_notes.microscope.steps.fitting import Fit, discrepancies, refit
from jaxopt_notes.microscope.steps.probes import LONG, Laboratory, Record


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


def _holds(fit: Fit, record: Record, slack: float = 4.0, **how: Any) -> bool:
    return bool(np.all(discrepancies(fit, record, **how) <= slack))


def _given(record: Record, **changes: Any) -> Record:
    return record._replace(given=record.given._replace(**changes))


def counts_matter(s: Structure) -> bool:
    """Whether the equation has the step counter in it."""
    return bool(s.corrects) or s.fading


def velocity(fit: Fit) -> str:
    """The letter of the momentum that a learning rate may be inside of; empty for none."""
    s = fit.structure
    return "μ" if s.momentum else "β1" if s.first and not s.second and not s.sign else ""


def long_run(laboratory: Laboratory, fit: Fit, records: list[Record]) -> Finding:
    """320 steps: a step counter that stops or starts again."""
    random = np.random.default_rng(7).normal(size=LONG)
    ones = np.ones(LONG)
    gradients = np.array([ones, 1e-3 * ones, random, 1e-6 * random, 1e2 * random]).T
    record = laboratory.alone(gradients, np.zeros(5))
    unseen = (f"steps after the first {LONG}",)
    off = discrepancies(fit, record) > 16
    if not off.any():
        return Finding(fit, not_examined=unseen)
    k = int(np.argmax(off))
    t = record.given.counts
    ways = {
        f"the step counter stops at {k}": np.minimum(t, k),
        f"the step counter starts again after {k}": (t - 1) % max(k, 1) + 1,
    }
    for sentence, counts in ways.items() if counts_matter(fit.structure) else ():
        if _holds(fit, _given(record, counts=counts), slack=16):
            return Finding(fit, deviations=(sentence,))
    closer = refit(fit, [*records, record])  # an ε that shows only when the start is forgotten
    if closer.explains:
        return Finding(closer, not_examined=unseen)
    return Finding(fit, unexplained=f"from step {k + 1} on it leaves its own equation")


def new_rates(laboratory: Laboratory, fit: Fit) -> Finding:
    """The learning rate is set before the first step and changed twice."""
    α, letter = fit.values["α"], velocity(fit)
    random = np.random.default_rng(5).normal(size=24)
    zeros = np.zeros(24)
    push = np.eye(24)[0]
    gradients = np.array([random, 1e-3 * random, 1e-6 * random, push, zeros, random, zeros]).T
    set_to = {0: 2 * abs(α), 8: abs(α) / 2, 16: 3 * abs(α)}
    laboratory.begin({"w": np.array([0.0, 0.0, 0.0, 0.0, 1.5, -0.7, -0.7])})
    setter = getattr(laboratory.stepper, "set_learning_rate", None)
    try:
        if setter is None:
            raise NotImplementedError
        record = laboratory.walk(
            {"w": gradients}, lambda k: setter(set_to[k]) if k in set_to else None
        )["w"]
    except NotImplementedError:
        return Finding(
            fit,
            undecided=tuple(_undecided_without_rates(fit, letter)),
            not_examined=("a change of the learning rate",),
        )
    rates = np.repeat(list(set_to.values()), 8)
    for late in (False, True):
        for sentence, κ in _scales(fit, letter).items():
            own = abs(α) / κ  # the learning rate that it had
            seen = np.r_[own, rates[:-1]] if late else rates
            for decay, changed, given in _decays(fit, record, κ, own, seen):
                for inside in (False, True) if letter else (False,):
                    if _holds(changed, given, slack=16, rate_inside=inside):
                        late_words = "a new learning rate acts one step late" if late else ""
                        words = (sentence * (sentence != _AVERAGE), _DECAYS[decay], late_words)
                        named = _with_rate(fit, own, decay)
                        if sentence == _AVERAGE:
                            named = _shaped(named, first="average")
                        return Finding(
                            named,
                            deviations=tuple(filter(None, words)),
                            rate_inside=inside if letter else None,
                        )
    if _holds(fit, record, slack=16):
        return Finding(fit, deviations=("setting the learning rate changes nothing",))
    return _scaled(fit, record, rates, letter)


def _scaled(fit: Fit, record: Record, rates: Array, letter: str) -> Finding:
    """A factor of no known meaning before the learning rate."""
    if "αλ" not in fit.values:
        for inside in (False, True) if letter else (False,):
            given = _given(record, rates=rates)
            d, _ = directions(fit.structure, fit.values, given.given, rate_inside=inside)
            κ = -float(np.sum(d[:, 0] * record.moves[:, 0]) / np.sum(d[:, 0] ** 2))
            if κ and _holds(_replaced(fit, α=κ), given, slack=16, rate_inside=inside):
                return Finding(
                    _replaced(fit, rate=fit.values["α"] / κ),
                    deviations=(f"steps are {κ:.6g} times what the learning rate says",),
                    rate_inside=inside if letter else None,
                )
    sentence = "a new learning rate acts in no known way"
    return Finding(fit, deviations=(sentence,))


_AVERAGE = "average"
_DECAYS = {
    "": "",
    "times": "",
    "free": "",  # a matter of convention, like a velocity that is an average
    "after": "the weight decay shrinks the parameters after the step, not before",
    "free after": "the weight decay shrinks the parameters after the step, not before",
}


def _scales(fit: Fit, letter: str) -> dict[str, float]:
    """Factors that may stand before the learning rate, with what each means."""
    scales = {"": 1.0}
    if letter == "μ":
        scales["the velocity is scaled by 1 − μ"] = 1 - fit.values["μ"]
    elif fit.structure.first == "sum":
        scales[_AVERAGE] = 1 - fit.values["β1"]
    return scales


def _decays(
    fit: Fit, record: Record, κ: float, own: float, rates: Array
) -> Iterator[tuple[str, Fit, Record]]:
    """The ways in which decoupled decay may follow the learning rate."""
    sign = np.sign(fit.values["α"]) * κ
    λ = fit.values.get("αλ")
    if λ is None:
        yield "", _replaced(fit, α=sign), _given(record, rates=rates)
        return
    for name in ("times", "free", "after", "free after"):
        start = own / (1 - λ) if "after" in name else own
        step = np.full(len(rates), λ) if "free" in name else λ / start * rates
        scaled = rates * (1 - step) if "after" in name else rates
        moves = record.moves + step[:, None] * record.given.params
        plain = record._replace(moves=moves)
        yield name, _replaced(fit, α=sign, αλ=0.0), _given(plain, rates=scaled)


def _replaced(fit: Fit, **values: float) -> Fit:
    return fit._replace(values={**fit.values, **values})


def _shaped(fit: Fit, **choices: Any) -> Fit:
    return fit._replace(structure=fit.structure._replace(**choices))


def _with_rate(fit: Fit, own: float, decay: str) -> Fit:
    """The fit with the learning rate and the decay as they are called outside."""
    if "αλ" not in fit.values:
        return _replaced(fit, rate=own)
    if "free" in decay:
        fit = _shaped(fit, decay="free")
    λ = fit.values["αλ"]
    start = own / (1 - λ) if "after" in decay else own
    return _replaced(fit, rate=start, decay=λ if "free" in decay else λ / start)


def _undecided_without_rates(fit: Fit, letter: str) -> Iterator[str]:
    s = fit.structure
    if letter:
        yield "whether the learning rate is inside the velocity"
    if s.first == "sum":
        yield (
            "a velocity scaled by 1 − β1 with a learning rate 1 / (1 − β1) times as large: "
            "the same path"
        )
    if s.decay == "decoupled":
        yield "whether the weight decay is multiplied by the learning rate"


def several_arrays(laboratory: Laboratory, fit: Fit) -> Finding:
    """Three arrays: one counter for each, and what happens without a gradient."""
    random = np.random.default_rng(3)
    start = {"w": np.array([0.0, 0.0, 1.5, -0.7]), "b": np.zeros(3), "c": np.zeros(2)}
    steps = 10
    gradients = {n: random.normal(size=(steps, len(p))) for n, p in start.items()}
    laboratory.begin(start)
    records = laboratory.walk(gradients)
    whole = np.sqrt(sum((g**2).sum(1, keepdims=True) for g in gradients.values()))
    for sentence, deviates, changes in _array_ways(fit, records, whole):
        if all(_holds(fit, _given(r, **changes[n])) for n, r in records.items()):
            words = (sentence,) if sentence else ()
            if deviates:
                return Finding(fit, deviations=words)
            return _without_gradient(laboratory, Finding(fit, remarks=words), start, gradients)
    return Finding(fit, unexplained="several arrays step otherwise than one array alone")


def _array_ways(
    fit: Fit, records: dict[str, Record], whole: Array
) -> Iterator[tuple[str, bool, dict[str, dict[str, Any]]]]:
    t = next(iter(records.values())).given.counts
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
    laboratory: Laboratory, found: Finding, start: dict[str, Array], gradients: dict[str, Array]
) -> Finding:
    """The array c gets no gradient in some steps."""
    fit, missing = found.fit, np.isin(np.arange(10), (0, 4, 5))
    if fit.structure.clip == "norm" or fit.structure.late:
        return found
    rows: Any = {**gradients, "c": [None if m else g for m, g in zip(missing, gradients["c"])]}
    try:
        laboratory.begin(start)
        record = laboratory.walk(rows)["c"]
    except NotImplementedError:
        return found._replace(not_examined=("an array without a gradient",))
    except InputError:  # a child that has ended
        raise
    except Exception:  # whatever the optimizer raises where it wants all gradients
        return found._replace(not_examined=("an array without a gradient, which it refuses",))
    given = record.given
    still = bool(np.all(record.moves[missing] == 0))
    part = record._replace(
        given=type(given)(*(x[~missing] for x in given)), moves=record.moves[~missing]
    )
    own = _given(part, counts=np.arange(1, len(part.moves) + 1))
    if still and _holds(fit, own):
        remark = "an array without a gradient stays as it is"
        if counts_matter(fit.structure):
            remark += ", and so does its step counter"
    elif still and _holds(fit, part):
        remark = "an array without a gradient stays as it is, while its step counter rises"
    elif _holds(fit, record):
        remark = "a missing gradient counts as zero"
    else:
        sentence = "after a missing gradient an array's steps follow no known rule"
        return found._replace(deviations=(sentence,))
    return found._replace(remarks=(*found.remarks, remark))


def matrix(laboratory: Laboratory, fit: Fit) -> Finding:
    """A matrix: some optimizers treat it as more than its elements."""
    if getattr(laboratory.stepper, "vectors_only", False):
        return Finding(fit, not_examined=("matrices",))
    random = np.random.default_rng(13)
    laboratory.begin({"w": random.normal(size=(3, 4))})
    record = laboratory.walk({"w": random.normal(size=(8, 3, 4))})["w"]
    if _holds(fit, record, slack=16):
        return Finding(fit)
    return Finding(fit, unexplained="a matrix steps otherwise than a vector")


def save_and_load(laboratory: Laboratory, fit: Fit) -> Finding:
    """Eight steps, a save, a load into an optimizer that has just begun, eight more steps."""
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
        if _holds(fit, _given(second, counts=counts), memory=memory):
            return Finding(fit, deviations=(sentence,) * bool(sentence))
    sentence = "after save and load its steps follow no known rule"
    return Finding(fit, deviations=(sentence,))


def _restorations(
    fit: Fit, first: Record, second: Record
) -> Iterator[tuple[str, dict[str, Any], Array]]:
    s, new = fit.structure, fresh()
    _, kept = directions(s, fit.values, first.given)
    again = second.given.counts
    on = again + len(again)
    yield "", kept, on
    if counts_matter(s):
        yield "the step counter starts again after save and load", kept, again
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
            dropped = {**kept, **{key: new[key] for key in keys}}
            yield f"the {name} is dropped by save and load", dropped, on
            yield f"the {name} and the step counter are dropped by save and load", dropped, again
    if s.first and s.second:
        swapped = {**kept, "m": kept["v"], "v": kept["m"]}
        yield "save and load exchange the first and the second moment", swapped, on
