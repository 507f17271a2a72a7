"""The parts of an optimizer's equation, and their numbers, measured on its rule.

    x = ±g + λ θ                       climbs, coupled
    m ← β1 m + b x                     a first moment, or a velocity
    v ← β2 v + q x²  (or v + q x²)     a second moment
    d = x, x / √v, m̂ / √v̂              the direction, with ε somewhere in the root's place
    w ← μ w + b d                      a velocity of directions
    θ ← θ − α (d or w) − α λ θ         decoupled

A rule is a function of one gradient, one parameter and the accumulators, so each number shows by
itself where the others are put out of action: a huge v hides ε, a tiny one shows nothing else.
That the parts are all there is, the proof decides, not this measurement.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.transfer.numbers import snap
from jaxopt_notes.transfer.rules import Rule

Array = np.ndarray
_HUGE, _TINY = 1e40, 1e-140
_SAME = 1e-11  # powers near 1 lose five digits in 1 − β^t


class UnlikeError(Exception):
    """It is made of other parts; the text says which."""


class Anatomy(NamedTuple):
    """The parts of a rule. What changes with the steps has an entry for each step looked at.

    Attributes:
      kind: "sgd", "adagrad", "rmsprop" or "adam".
      rate: the learning rate.
      climbs: it adds the gradient.
      coupled: λ inside the gradient.
      decoupled: λ beside the step.
      places: the accumulators' places by role: "first", "second", "largest", "velocity".
      scales: by role, what makes the accumulator the equation's: (1 − β) x² in it, and so on.
      momentum: μ of the velocity.
      nesterov: the velocity looks ahead.
      push: what enters the velocity of a gradient, or of a direction.
      pull: what enters the update of the velocity.
      b1, b2, eps: the hyperparameters of those names.
      eps_place: "outside", "inside", "hat" or "elsewhere"; "" without ε.
    """

    kind: str
    rate: Array
    climbs: bool
    coupled: float = 0.0
    decoupled: float = 0.0
    places: Mapping[str, int] = {}
    scales: Mapping[str, float] = {}
    momentum: float = 0.0
    nesterov: bool = False
    push: Array = np.ones(1)
    pull: Array = np.ones(1)
    b1: float = 0.0
    b2: float = 0.0
    eps: float = 0.0
    eps_place: str = ""


@np.errstate(all="ignore")
def dissect(
    rule: Rule, numbers: Mapping[int, Array], steps: Array, constants: set[float]
) -> Anatomy:
    """Measures a rule.

    Args:
      rule: the rule.
      numbers: the program's numbers that it uses, (K, 1) for K steps.
      steps: (K,), the count of the bias correction at those steps, from 1.
      constants: the numbers of the program, which a measured one is one of, most likely.

    Raises:
      UnlikeError: it has a part that is not in the equation above.
    """
    probe = _Probe(rule, numbers, len(steps))
    places = _places(probe)
    roles = tuple(sorted(places))
    if roles == ():
        return _plain(probe, constants)
    if roles == ("first",):
        return _heavy_ball(probe, places, constants)
    if roles in (("second",), ("second", "velocity")):
        return _normalised(probe, places, constants)
    if roles in (("first", "second"), ("first", "second", "velocity")) and not _drives(probe, places):
        return _normalised(probe, places, constants)
    if roles in (("first", "second"), ("first", "largest", "second")):
        return _adam(probe, places, constants, steps)
    held = ", ".join(f"{s.owner}.{s.field}" for s in rule.slots)
    raise UnlikeError(f"its state is {held} for each parameter")


class _Probe:
    """Asks a rule at all steps at once."""

    def __init__(self, rule: Rule, numbers: Mapping[int, Array], length: int) -> None:
        self.rule, self.numbers, self.length = rule, numbers, length

    def ask(self, g: float = 0.0, p: float = 0.0, **slots: Any) -> tuple[Array, list[Array]]:
        """(K,) the update, and each accumulator after; an accumulator is named a0, a1, …."""
        given = [
            np.reshape(slots.get(f"a{i}", 0.0), (-1, 1)) for i in range(len(self.rule.slots))
        ]
        update, new = self.rule.step(self.numbers, np.full((1, 1), g), np.full((1, 1), p), given)
        shape = (self.length, 1)
        return (
            np.broadcast_to(update, shape)[:, 0],
            [np.broadcast_to(x, shape)[:, 0] for x in new],
        )

    def others(self, i: int) -> set[int]:
        """The other accumulators that one is made of."""
        return {k - 2 for k in self.rule.depends(self.rule.new[i]) if k >= 2} - {i}


def _places(probe: _Probe) -> dict[str, int]:
    """Which accumulator has which role."""
    places: dict[str, int] = {}
    slots = probe.rule.slots
    for i in sorted(range(len(slots)), key=lambda i: len(probe.others(i))):
        role = _role(probe, i, places)
        if not role or role in places:
            raise UnlikeError(f"its state has {slots[i].owner}.{slots[i].field}")
        places[role] = i
    return places


def _role(probe: _Probe, i: int, places: Mapping[str, int]) -> str:
    if not probe.others(i):
        once, twice, back = (probe.ask(g=g)[1][i] for g in (1.0, 2.0, -1.0))
        if not once.all():
            return ""
        if equal(twice, 2 * once) and equal(back, -once):
            return "first"
        return "second" if equal(twice, 4 * once) and equal(back, once) else ""
    if "second" not in places:
        return ""
    at = {f"a{places['second']}": 1.0}
    below = probe.ask(**at, **{f"a{i}": -1e30})[1][i]
    if (below > 0).all():
        return "largest"
    return "velocity" if (below <= 0).all() else ""


def _drives(probe: _Probe, places: Mapping[str, int]) -> bool:
    """Whether the first moment moves the parameter, rather than being subtracted in the root."""
    at = {f"a{places['second']}": 4.0, f"a{places['first']}": 1.0}
    if "velocity" in places:
        return bool(probe.ask(**at)[1][places["velocity"]].any())
    return bool(probe.ask(**at)[0].any())


def _plain(probe: _Probe, constants: set[float]) -> Anatomy:
    (a, _), (b, _) = probe.ask(g=1.0), probe.ask(p=1.0)
    rate, climbs = _rate(a)
    # λ inside the gradient or beside the step: without an accumulator both are the same.
    decay = _ratio("weight decay", -b, rate, constants, rounding=np.abs(b).max() > 0)
    return Anatomy("sgd", rate, climbs, coupled=decay, decoupled=decay)


def _heavy_ball(probe: _Probe, places: Mapping[str, int], constants: set[float]) -> Anatomy:
    """v ← μ v + push g ; u = pull v, or u = pull (push g + μ v)."""
    one = {f"a{places['first']}": 1.0}
    (of_v, (momentum,)), (of_g, (push,)), (of_p, (through,)) = (
        probe.ask(**one), probe.ask(g=1.0), probe.ask(p=1.0),
    )  # fmt: skip
    μ = _constant("momentum", momentum, constants)
    if μ == 0:
        return _plain(probe, constants)
    pull = of_v / μ
    rest = of_g - pull * push
    nesterov = not equal(of_g, pull * push)
    if nesterov:
        if not equal(rest * μ, pull * push):
            raise UnlikeError("its step is neither its velocity nor Nesterov's form of it")
        pull = pull / μ
    rate, climbs = _rate(pull * push)
    sign = -1.0 if climbs else 1.0
    coupled = sign * _ratio("weight decay", through, push, constants)
    beside = of_p - (pull * μ if nesterov else pull) * through - (pull * through if nesterov else 0)
    negligible = np.abs(beside) <= _SAME * np.abs(of_p)
    decoupled = _ratio(
        "weight decay", np.where(negligible, 0.0, -beside), rate, constants, rounding=True
    )
    return Anatomy(
        "sgd", rate, climbs, coupled, decoupled, places, {"first": 1.0}, μ, nesterov, push, pull
    )


def _normalised(probe: _Probe, places: Mapping[str, int], constants: set[float]) -> Anatomy:
    """d = x / √v, perhaps centred, perhaps with a velocity: AdaGrad and RMSProp."""
    second, b2, scale = _second(probe, places, constants)
    first = places.get("first")
    scales = {"second": scale}
    if first is not None:
        _, scales["first"] = _first(probe, first, b2, constants)
    huge = {f"a{second}": _HUGE}
    velocity = places.get("velocity")

    def asked(**at: float) -> tuple[Array, Array]:
        """What a gradient or a parameter moves, the root multiplied out; and the root."""
        update, new = probe.ask(**at)
        root = np.sqrt(new[second] * scale - (new[first] * scales["first"]) ** 2 if first is not None
                       else new[second] * scale)  # fmt: skip
        return (update if velocity is None else new[velocity]), root

    a, root = asked(g=1.0, **huge)
    through, other = asked(p=1.0, **huge)
    μ, pull, nesterov = 0.0, np.ones_like(a), False
    push = a * root
    total = push
    if velocity is not None:
        one = {f"a{second}": 1.0, f"a{velocity}": 1.0}
        μ = _constant("momentum", probe.ask(**one)[1][velocity], constants)
        of_g = probe.ask(g=1.0, **huge)[0]
        if μ == 0:
            raise UnlikeError("its momentum is 0")
        pull = probe.ask(**one)[0] / μ
        if not equal(of_g, pull * a):
            nesterov, pull = True, pull / μ
        total = push * pull
    rate, climbs = _rate(total)
    sign = -1.0 if climbs else 1.0
    square = probe.ask(p=1.0)[1][second]
    coupled, decoupled = 0.0, 0.0
    if square.any():
        coupled = sign * _ratio("weight decay", through * other, push, constants)
    else:
        beside = probe.ask(p=1.0, **{f"a{second}": 1.0})[0]
        decoupled = _ratio("weight decay", -beside, rate, constants, rounding=True)

    def denominator(g: float) -> tuple[Array, Array]:
        moved, root = asked(g=g)
        return np.abs(push) * g / np.abs(moved), root

    eps, place = _epsilon(denominator, rate, constants)
    return Anatomy(
        "adagrad" if b2 == 1 else "rmsprop", rate, climbs, coupled, decoupled, places, scales, μ,
        nesterov, push, pull, b2=b2, eps=eps, eps_place=place,
    )  # fmt: skip


def _adam(
    probe: _Probe, places: Mapping[str, int], constants: set[float], steps: Array
) -> Anatomy:
    """d = m̂ / √v̂, the biases corrected."""
    second, b2, scale = _second(probe, places, constants)
    first = places["first"]
    b1 = _constant("β1", probe.ask(**{f"a{first}": 1.0})[1][first], constants)
    through, first_scale = _first(probe, first, b1, constants)
    one, two = 1 - b1**steps, 1 - b2**steps

    def asked(**at: float) -> tuple[Array, Array]:
        """The update without m̂, and the corrected root."""
        update, new = probe.ask(**at)
        return update / (new[first] * first_scale / one), np.sqrt(new[second] * scale / two)

    largest = places.get("largest")
    if largest is not None:
        new = probe.ask(**{f"a{second}": 1.0})[1]
        if not equal(new[largest], new[second]):
            raise UnlikeError("it takes the maximum of the second moment after the bias correction")
    moved, root = asked(g=1.0, **{f"a{second}": _HUGE})
    if b1:
        again, same = asked(**{f"a{second}": _HUGE, f"a{first}": 1.0})
        if not equal(again * same, moved * root):
            raise UnlikeError("it looks ahead, as Nesterov's momentum does")
    rate, climbs = _rate(moved * root)
    if not steady(rate) and steady(rate * np.sqrt(two) / one):
        raise UnlikeError("it does not correct the bias of its moments")
    sign = -1.0 if climbs else 1.0
    coupled = sign * through
    decoupled = 0.0
    if not coupled:
        beside = probe.ask(p=1.0, **{f"a{second}": 1.0})[0]
        decoupled = _ratio("weight decay", -beside, rate, constants, rounding=True)

    def denominator(g: float) -> tuple[Array, Array]:
        moved, root = asked(g=g)
        return rate / np.abs(moved), root

    eps, place = _epsilon(denominator, rate, constants, np.sqrt(two))
    scales = {"first": sign * first_scale, "second": scale, "largest": scale}
    return Anatomy(
        "adam", rate, climbs, coupled, decoupled, places, scales, b1=b1, b2=b2, eps=eps,
        eps_place=place,
    )  # fmt: skip


def _second(
    probe: _Probe, places: Mapping[str, int], constants: set[float]
) -> tuple[int, float, float]:
    """The second moment's place, its decay (1 for a sum), and its scale."""
    second = places["second"]
    b2 = _constant("β2", probe.ask(**{f"a{second}": 1.0})[1][second], constants)
    if not 0 <= b2 <= 1:
        raise UnlikeError(f"its second moment grows by {b2:g} at each step")
    q = _constant("the second moment's weight", probe.ask(g=1.0)[1][second], set())
    return second, b2, _whole((1.0 if b2 == 1 else 1 - b2) / q)


def _first(probe: _Probe, first: int, decay: float, constants: set[float]) -> tuple[float, float]:
    """λ / ±1 of a first moment, and its scale."""
    push, through = probe.ask(g=1.0)[1][first], probe.ask(p=1.0)[1][first]
    b = _constant("the first moment's weight", push, set())
    return _ratio("weight decay", through, push, constants), _whole((1 - decay) / b)


def _epsilon(
    denominator: Callable[[float], tuple[Array, Array]],
    rate: Array,
    constants: set[float],
    two: Array | None = None,
) -> tuple[float, str]:
    """ε and its place.

    Args:
      denominator: of a gradient the denominator, ε in it, and the root alone.
      rate: the learning rate; steps where it is 0 show no denominator.
      constants: those of the program.
      two: the root of the second moment's bias correction, where there is one.
    """
    small, root = denominator(_TINY)
    moving = rate > 0
    outside = (small - root)[moving]
    if (np.abs(outside) <= 1e-120).all():
        return 0.0, ""
    k = int(np.argmax(rate))
    near = small[k] - root[k]
    more, root = denominator(10 * near)
    if equal(more[k], np.sqrt(root[k] ** 2 + near**2), 1e-9):
        return snap(float(near**2), constants, 1e-13), "inside"
    if not equal(more[k], root[k] + near, 1e-9):
        return float(near), "elsewhere"
    if steady(outside):
        return snap(float(near), constants, 1e-13), "outside"
    if two is not None and steady(outside * two[moving]):
        return snap(float(near * two[k]), constants, 1e-13), "hat"
    return float(near), "elsewhere"


def _rate(a: Array) -> tuple[Array, bool]:
    """The size of a step against the gradient, and whether it is with the gradient instead."""
    if not np.isfinite(a).all():
        raise UnlikeError("its step is not finite")
    if not a.any():
        raise UnlikeError("its learning rate is 0")
    if (a > 0).any() and (a < 0).any():
        raise UnlikeError("its learning rate changes its sign")
    return np.abs(a), bool((a > 0).any())


def _constant(name: str, x: Array, constants: set[float]) -> float:
    if not steady(x):
        raise UnlikeError(f"its {name} changes with the steps")
    return snap(float(x[0]), constants)


def _ratio(
    name: str, x: Array, by: Array, constants: set[float], *, rounding: bool = False
) -> float:
    """x / by, which must be one number.

    Args:
      name: what it is called.
      x: for each step.
      by: likewise; steps where it is 0 are left out.
      constants: those of the program.
      rounding: x is a difference of numbers near 1, as (1 − αλ) θ − θ is.
    """
    k = int(np.argmax(np.abs(by)))
    value = float(x[k] / by[k])
    if value == 0:
        return 0.0
    allowed = 4e-16 / np.abs(x[k]) if rounding else 0.0
    slack = 4e-16 * rounding + _SAME * np.abs(x)
    if not (np.abs(x - value * by) <= slack).all():
        raise UnlikeError(f"its {name} is not in step with its learning rate")
    return snap(value, constants, 4e-15 + allowed)


def equal(x: Any, y: Any, tolerance: float = _SAME) -> bool:
    return bool(np.all(np.abs(x - y) <= tolerance * np.maximum(np.abs(x), np.abs(y))))


def steady(x: Array) -> bool:
    return equal(x, x[-1] if len(x) else x, 1e-10)


def _whole(scale: float) -> float:
    """1 where a scale is that but for rounding."""
    return 1.0 if abs(scale - 1) < 1e-12 else scale
