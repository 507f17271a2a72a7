"""From the parts of an equation to the optimizer of torch or Keras that has these parts."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.transfer.anatomy import Anatomy, Array, UnlikeError, equal, steady
from jaxopt_notes.transfer.numbers import snap

_FIELDS = {
    "sgd": {"first": "trace"},
    "adagrad": {"second": "sum_of_squares"},
    "rmsprop": {"first": "mu", "second": "nu", "velocity": "trace"},
    "adam": {"first": "mu", "second": "nu", "largest": "nu_max"},
}


class Candidate(NamedTuple):
    """An optimizer of a framework that has the parts.

    Attributes:
      name: the function of `conventions.torch` or `conventions.keras`.
      keywords: its arguments but for the learning rate.
      rate: the learning rate at each step looked at.
      fields: for each field of its state the accumulator's place here, and what it is multiplied by.
    """

    name: str
    keywords: dict[str, Any]
    rate: Array
    fields: dict[str, tuple[int, float]]


def torch(a: Anatomy, counts: Array, constants: set[float]) -> Candidate:
    """torch's optimizer: the rate outside the velocity, ε outside the root, coupled decay.

    Args:
      a: the parts.
      counts: the steps taken before each of those looked at.
      constants: the program's numbers.

    Raises:
      UnlikeError: torch has none.
    """
    sign = -1.0 if a.climbs else 1.0
    keywords: dict[str, Any] = {"maximize": a.climbs, "weight_decay": a.coupled}
    scales, rate = dict(a.scales), a.rate
    velocity = "first" if a.kind == "sgd" else "velocity"
    if velocity in a.places:
        begin, dampening = _dampening(a, counts)
        rate = np.abs(a.pull * begin)
        keywords["momentum"], scales[velocity] = a.momentum, sign / begin
        if a.kind == "sgd":
            keywords |= {"nesterov": a.nesterov, "dampening": dampening}
        if dampening and (a.kind != "sgd" or a.nesterov):
            raise UnlikeError("its velocity takes the first gradient in full, and later ones not")
        if a.nesterov and a.kind != "sgd":
            raise UnlikeError("its velocity looks ahead, as Nesterov's does")
    name = a.kind
    if a.kind == "adam" and a.decoupled:
        name, keywords["weight_decay"] = "adamw", a.decoupled
    elif a.decoupled and a.decoupled != a.coupled:
        raise UnlikeError(f"its weight decay, {a.decoupled:g}, is decoupled")
    if a.kind != "sgd":
        _check_eps(a, "outside", "eps")
        keywords["eps"] = a.eps
    if a.kind == "adam":
        keywords |= {"betas": (a.b1, a.b2), "amsgrad": "largest" in a.places}
    elif a.kind == "rmsprop":
        keywords |= {"alpha": a.b2, "centered": "first" in a.places}
        scales["first"] = sign * scales.get("first", 1.0)
    elif a.kind == "adagrad" and (falling := _lr_decay(rate, counts, constants)):
        keywords["lr_decay"] = falling
        rate = np.full_like(rate, rate[0] * (1 + counts[0] * falling))
    return _candidate(a, name, keywords, rate, scales)


def keras(a: Anatomy, counts: Array, constants: set[float]) -> Candidate:
    """Keras' optimizer: the rate inside the velocity, ε inside the root, decoupled decay.

    Args and errors as for `torch`.
    """
    if a.climbs:
        raise UnlikeError("it climbs")
    keywords: dict[str, Any] = {"weight_decay": a.decoupled or None}
    scales = dict(a.scales)
    velocity = "first" if a.kind == "sgd" else "velocity"
    if velocity in a.places:
        if not steady(a.pull):
            raise UnlikeError("its learning rate changes, and stands outside the velocity")
        keywords["momentum"], scales[velocity] = a.momentum, float(a.pull[0])
        if a.kind == "sgd":
            keywords["nesterov"] = a.nesterov
        elif a.nesterov:
            raise UnlikeError("its velocity looks ahead, as Nesterov's does")
    if a.coupled and a.coupled != a.decoupled:
        raise UnlikeError(f"its weight decay, {a.coupled:g}, is coupled")
    if a.kind != "sgd":
        _check_eps(a, "hat" if a.kind == "adam" else "inside", "epsilon")
        keywords["epsilon"] = a.eps
    if a.kind == "rmsprop":
        keywords |= {"rho": a.b2, "centered": "first" in a.places}
    elif a.kind == "adam":
        keywords |= {"beta_1": a.b1, "beta_2": a.b2, "amsgrad": "largest" in a.places}
    name = "adamw" if a.kind == "adam" and a.decoupled else a.kind
    return _candidate(a, name, keywords, a.rate, scales)


FRAMEWORKS: Mapping[str, Callable[[Anatomy, Array, set[float]], Candidate]] = {
    "torch": torch,
    "keras": keras,
}


def _candidate(
    a: Anatomy, name: str, keywords: dict[str, Any], rate: Array, scales: Mapping[str, float]
) -> Candidate:
    decay = keywords["weight_decay"]
    if decay and decay < 0:
        raise UnlikeError(f"its weight decay, {decay:g}, is negative")
    fields = {_FIELDS[a.kind][r]: (place, scales.get(r, 1.0)) for r, place in a.places.items()}
    return Candidate(name, keywords, rate, fields)


def _dampening(a: Anatomy, counts: Array) -> tuple[float, float]:
    """What enters the velocity at the first step, and τ of the later ones."""
    first = counts == 0
    later = a.push[~first]
    if not steady(later):
        raise UnlikeError("its learning rate changes, and stands inside the velocity")
    if not first.any() or equal(a.push[first], later[0]):
        return float(later[0]), 0.0
    begin = float(a.push[first][0])
    return begin, snap(1 - later[0] / begin, set(), 1e-14)


def _lr_decay(rate: Array, counts: Array, constants: set[float]) -> float:
    """η, where the learning rate is α / (1 + k η) after k steps; else 0."""
    if steady(rate) or not rate.all():
        return 0.0
    inverse, k = 1 / rate, int(np.argmax(counts))
    slope = (inverse[k] - inverse[0]) / (counts[k] - counts[0])
    start = inverse[0] - slope * counts[0]
    if slope <= 0 or not equal(start + slope * counts, inverse, 1e-9):
        return 0.0
    return snap(slope / start, constants, 1e-9)


def _check_eps(a: Anatomy, place: str, keyword: str) -> None:
    if a.eps_place in ("", place):
        return
    where = {
        "outside": "outside the root, after the bias correction" if a.kind == "adam"
        else "outside the root",
        "inside": "inside the root",
        "hat": "outside the root, before the bias correction",
        "elsewhere": "in two places, or in another than the frameworks have",
    }[a.eps_place]  # fmt: skip
    raise UnlikeError(f"its ε stands {where}")
