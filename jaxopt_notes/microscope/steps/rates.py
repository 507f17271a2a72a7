"""Tests how an optimizer uses a new learning rate.

The learning rate may act inside or outside the velocity, on the decay or not, at once or a step
late. Each possibility is compared with the optimizer's steps; the first that explains them is
reported.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxopt_notes.microscope.steps.families import Array, directions
from jaxopt_notes.microscope.steps.finding import Finding, given_as, holds
from jaxopt_notes.microscope.steps.fitting import Fit
from jaxopt_notes.microscope.steps.probes import Laboratory, Record


def velocity(fit: Fit) -> str:
    """The letter of the momentum whose velocity may contain the learning rate; empty for none."""
    s = fit.structure
    return "μ" if s.momentum else "β1" if s.first and not s.second and not s.sign else ""


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
            own = abs(α) / κ  # the previous learning rate
            seen = np.r_[own, rates[:-1]] if late else rates
            for decay, changed, adapted in _decays(fit, record, κ, own, seen):
                for inside in (False, True) if letter else (False,):
                    if holds(changed, adapted, slack=16, rate_inside=inside):
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
    if holds(fit, record, slack=16):
        return Finding(fit, deviations=("setting the learning rate changes nothing",))
    return _scaled(fit, record, rates, letter)


def _scaled(fit: Fit, record: Record, rates: Array, letter: str) -> Finding:
    """An unexplained factor of the learning rate."""
    if "αλ" not in fit.values:
        for inside in (False, True) if letter else (False,):
            adapted = given_as(record, rates=rates)
            d, _ = directions(fit.structure, fit.values, adapted.conditions, rate_inside=inside)
            κ = -float(np.sum(d[:, 0] * record.moves[:, 0]) / np.sum(d[:, 0] ** 2))
            if κ and holds(_replaced(fit, α=κ), adapted, slack=16, rate_inside=inside):
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
    """Possible factors of the learning rate, with their meanings."""
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
        yield "", _replaced(fit, α=sign), given_as(record, rates=rates)
        return
    for name in ("times", "free", "after", "free after"):
        start = own / (1 - λ) if "after" in name else own
        step = np.full(len(rates), λ) if "free" in name else λ / start * rates
        scaled = rates * (1 - step) if "after" in name else rates
        moves = record.moves + step[:, None] * record.conditions.params
        plain = record._replace(moves=moves)
        yield name, _replaced(fit, α=sign, αλ=0.0), given_as(plain, rates=scaled)


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
