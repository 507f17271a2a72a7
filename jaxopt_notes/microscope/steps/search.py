"""The search: cheap clues leave few candidates, and the smallest that explains everything wins."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from jaxopt_notes.microscope.steps.families import Array, Structure
from jaxopt_notes.microscope.steps.fitting import Fit, Problem, fit, screen
from jaxopt_notes.microscope.steps.probes import Record, experiments

_SERIOUS = 8  # candidates that are fitted in full, the most promising first
_NEAR = 1e-3  # a worse first look cannot rival an equation that explains everything


class Clues(NamedTuple):
    """Properties of the records that need no fit.

    Attributes:
      climbs: whether the first step follows the gradient.
      response: how the first step depends on the gradient's size: "linear", "clipped" (linear up
        to a bound), "sign", "outside"
        (|g| / |u| is a line in |g|), "inside" (the square is a line in g²), or "other".
      remembers: whether it keeps moving after a push.
      forgets: whether it may have no memory: it stops after a push, or decay alone may move it.
      decays: how parameters move without a gradient: "" (not), "decoupled" (in proportion to
        themselves), "coupled" (otherwise) or "either".
      decay_sign: 1 towards 0, −1 away from it.
      coupled: whether an element's step depends on other elements.
      late: whether the first step moves nothing that only a gradient moves.
      betas: β1 and β2 of Lion, which `probes.sign_decays` measures.
    """

    climbs: bool
    response: str
    remembers: bool
    forgets: bool
    decays: str
    decay_sign: float
    coupled: bool
    late: bool
    betas: tuple[float, float] | None = None


def look(record: Record, coupled: bool) -> Clues:
    """The clues of a main record, one of `probes.histories`."""
    kinds = np.array([experiment.kind for experiment in experiments()])
    at_zero = np.array([experiment.start == 0 for experiment in experiments()])
    moves, g = np.nan_to_num(record.moves), record.conditions.gradients
    first = int(np.argmax(np.any(moves[:, at_zero] != 0, axis=1)))
    u, slope = moves[first, at_zero], g[0, at_zero]
    pushed = moves[first + 1 :, kinds == "push"]
    drift, θ = moves[0, kinds == "decay"], record.conditions.params[0, kinds == "decay"]
    decays = _decays(moves[:, kinds == "decay"], record, kinds == "decay")
    remembers = bool(np.any(pushed != 0))
    return Clues(
        climbs=float(np.sum(np.sign(u * slope))) > 0,
        response=_response(np.abs(slope), np.abs(u), 2e4 * record.roundoff),
        remembers=remembers,
        forgets=bool(decays) or not remembers,
        decays=decays,
        decay_sign=-1.0 if float(np.sum(drift * θ)) > 0 else 1.0,
        coupled=coupled,
        late=first > 0,
    )


def _decays(moves: Array, record: Record, where: Array) -> str:
    """How parameters without a gradient move."""
    if not moves.any():
        return ""
    θ, rounding = record.conditions.params[:, where], record.rounding[:, where]
    tolerance = float(np.max(16 * rounding / np.maximum(np.abs(moves), 1e-300)))
    if tolerance > 1e-4:
        return "either"
    share = moves / θ
    return "decoupled" if np.ptp(share) <= tolerance * np.abs(share).max() else "coupled"


def _response(g: Array, u: Array, tolerance: float) -> str:
    """The shape of the first step's size as a function of the gradient's."""
    there = (u > 0) & (g > 0) & np.isfinite(u)
    g, u = g[there], u[there]
    if len(g) < 4:
        return "other"
    if _constant(u / g, tolerance):
        return "linear"
    if _constant(u, tolerance):
        return "sign"
    bound = g >= u.max() / (u / g).max() * (1 + 1e-6)
    if _constant(u[bound], tolerance) and _constant((u / g)[~bound], tolerance):
        return "clipped"
    if _line(g, g / u, tolerance):
        return "outside"
    return "inside" if _line(g**2, (g / u) ** 2, tolerance) else "other"


def _constant(x: Array, tolerance: float) -> bool:
    return len(x) > 1 and bool(np.ptp(x) <= tolerance * x.max())


def _line(x: Array, y: Array, tolerance: float) -> bool:
    A = np.stack([1 / y, x / y], axis=1)
    size = np.abs(A).max(0)
    line, *_ = np.linalg.lstsq(A / size, np.ones(len(x)), rcond=None)
    return bool(np.abs(A / size @ line - 1).max() <= tolerance)


def candidates(clues: Clues) -> Iterator[Structure]:
    """The equations that fit the clues."""
    for plain in _directions(clues):
        for decay in _possible_decays(plain, clues.decays):
            yield plain._replace(
                maximize=clues.climbs,
                decay=decay,
                late=clues.late,
                clip="norm" if clues.coupled else plain.clip,
            )


def _possible_decays(s: Structure, seen: str) -> tuple[str, ...]:
    if not seen:
        return ("",)
    if not (s.first or s.second or s.sign):
        return ("coupled",)  # decoupled is the same path
    if s.sign:
        return ("decoupled",)  # nobody has the other, and no slope leads to its λ
    if s.second and seen in ("coupled", "decoupled"):
        return (seen,)
    return ("coupled", "decoupled")


def _directions(clues: Clues) -> Iterator[Structure]:
    if clues.response in ("linear", "clipped"):
        clip = "value" if clues.response == "clipped" else ""
        for structure in _linear(clues):
            yield structure._replace(clip=clip)
    if clues.response == "sign":
        for first in ("",) * clues.forgets + ("average",) * clues.remembers:
            yield Structure(sign=True, first=first)
    for structure in (*_scaled(clues), *(_adaptive() if clues.remembers else ())):
        floor = structure._replace(eps="floor")  # it responds like a clipped gradient
        if clues.response == "clipped" and structure.eps == "outside" and not structure.initial:
            yield floor
        if _responds(structure) == clues.response or clues.response == "other":
            yield structure


def _responds(s: Structure) -> str:
    """The response of a structure."""
    if not (s.second or s.sign):
        return "linear"
    if s.eps == "both" or (s.initial and s.eps == "outside"):
        return "other"
    if s.second == "infinity" or s.eps in ("outside", "hat"):
        return "outside" if s.eps else "sign"
    return "inside" if s.eps or s.initial else "sign"


def _linear(clues: Clues) -> Iterator[Structure]:
    if clues.forgets:
        yield Structure()
    if not clues.remembers:
        return
    yield Structure(first="sum")
    yield Structure(first="sum", nesterov=True)
    yield Structure(first="dampened")
    yield Structure(first="average", corrects="m")
    yield Structure(first="average", corrects="m", nesterov=True)


def _scaled(clues: Clues) -> Iterator[Structure]:
    """AdaGrad and RMSProp, with momentum after the division or without memory of gradients."""
    momenta = ("",) * clues.forgets + ("sum", "nesterov") * clues.remembers
    for momentum, eps in product(momenta, ("outside", "inside", "")):
        for initial in (False, True):
            if not (initial and eps == "inside"):  # only their sum shows
                for fading in (False, True):
                    yield Structure(
                        second="sum", eps=eps, initial=initial, momentum=momentum, fading=fading
                    )
            for second, corrects in product(("average", "centred"), ("", "v")):
                yield Structure(
                    second=second, corrects=corrects, eps=eps, initial=initial, momentum=momentum
                )
    if clues.forgets:
        yield Structure(second="average", corrects="v", eps="hat")
        yield from _largest("", ("", "v"))


def _adaptive() -> Iterator[Structure]:
    """Adam and its relatives."""
    for nesterov, corrects in product((False, True), ("mv", "m", "v", "")):
        for eps in ("outside", "inside", "hat", "both", ""):
            if eps != "hat" or "v" in corrects:
                yield Structure(
                    first="average", nesterov=nesterov, second="average", corrects=corrects, eps=eps
                )
    yield from _largest("average", ("mv", "m", "v", ""))
    for corrects, eps in product(("m", ""), ("outside", "inside", "")):
        yield Structure(first="average", second="infinity", corrects=corrects, eps=eps)


def _largest(first: str, corrections: tuple[str, ...]) -> Iterator[Structure]:
    """AMSGrad; the order of the maximum and the correction matters only where there is one."""
    for corrects, eps in product(corrections, ("outside", "inside", "hat", "both", "")):
        if eps != "hat" or "v" in corrects:
            yield Structure(first=first, second="max", corrects=corrects, eps=eps)
        if eps != "hat" and "v" in corrects:
            yield Structure(first=first, second="max of corrected", corrects=corrects, eps=eps)


def rounds(clues: Clues) -> Iterator[list[Structure]]:
    """Candidates in the order in which they are tried: sound ones, clipped ones, faulty ones."""
    sound = list(candidates(clues))
    if clues.betas:
        yield [s for s in sound if s.sign]
    yield sound
    if clues.response == "other" and not clues.coupled:  # a bound on values bends the response
        yield [s._replace(clip="value") for s in sound]
    counting = [s for s in sound if s.corrects or s.fading]
    yield [s._replace(first_count=2) for s in counting if _responds(s) == clues.response]


def search(records: list[Record], clues: Clues) -> tuple[list[Fit], list[Fit]]:
    """The fits that explain the records, smallest first, and the others, nearest first."""
    failed: list[Fit] = []
    for structures in rounds(clues):
        problems = [Problem(structure, records, clues.decay_sign) for structure in structures]
        looks = [(*_first_look(problem, clues), problem) for problem in problems]
        explaining: list[Fit] = []
        for error, x, problem in sorted(looks, key=lambda each: each[0])[:_SERIOUS]:
            if explaining and error > _NEAR:
                break
            fitted = fit(problem, x)
            (explaining if fitted.explains else failed).append(fitted)
        if explaining:
            explaining.sort(key=lambda f: (f.structure.size, f.misfit))
            return explaining, sorted(failed, key=lambda f: f.error)
    return [], sorted(failed, key=lambda f: f.error)


def _first_look(problem: Problem, clues: Clues) -> tuple[float, Array]:
    if problem.structure.sign and problem.structure.first and clues.betas:
        β = np.array(clues.betas)
        return 0.0, np.log(β / (1 - β))  # no slope leads to them
    return screen(problem)
