"""The parts of a rule that divides by a root: AdaGrad, RMSProp, Adam."""

from collections.abc import Callable, Mapping

import numpy as np

from jaxopt_notes.transfer.recognition.anatomy import (
    Anatomy,
    Array,
    Probe,
    constant,
    equal,
    rate_of,
    ratio,
    settled,
    steady,
    whole,
)
from jaxopt_notes.transfer.recognition.numbers import snap
from jaxopt_notes.transfer.recognition.reasons import UnlikeError

# A gradient and a second moment that hide ε, and a gradient that isolates ε.
_LARGE, _HUGE, _TINY = 1e20, 1e40, 1e-140


def normalised(
    probe: Probe, places: Mapping[str, int], constants: set[float], steps: Array
) -> Anatomy:
    """d = x / √v, perhaps centred, perhaps with a velocity: AdaGrad and RMSProp."""
    second, b2, scale = _second(probe, places, constants)
    first = places.get("first")
    scales = {"second": scale}
    if first is not None:
        _, scales["first"] = _first(probe, first, b2, constants)
    huge = {f"a{second}": _HUGE}
    velocity = places.get("velocity")

    def asked(**at: float) -> tuple[Array, Array]:
        """The update from a gradient or a parameter, multiplied by the root; and the root."""
        update, new = probe.ask(**at)
        mean = 0.0 if first is None else new[first] * scales["first"]
        root = np.sqrt(new[second] * scale - mean**2)
        return (update if velocity is None else new[velocity]), root

    a, root = asked(g=_LARGE, **huge)
    through, other = asked(p=_LARGE, **huge)
    μ, pull, nesterov = np.zeros_like(a), np.ones_like(a), False
    push = a * root / _LARGE
    total = push
    if velocity is not None:
        one = {f"a{second}": 1.0, f"a{velocity}": 1.0}
        μ = settled(probe.ask(**one)[1][velocity], constants)
        of_g = probe.ask(g=_LARGE, **huge)[0]
        if not μ.any():
            without = {role: i for role, i in places.items() if role != "velocity"}
            return normalised(probe, without, constants, steps)
        pull = probe.ask(**one)[0] / μ
        if not equal(of_g, pull * a):
            nesterov, pull = True, pull / μ
        total = push * pull
    rate, climbs = rate_of(total)
    if not steady(rate) and steady(rate / np.sqrt(1 - b2**steps)):
        raise UnlikeError("it corrects the bias of its second moment")
    sign = -1.0 if climbs else 1.0
    square = probe.ask(p=1.0)[1][second]
    coupled, decoupled = 0.0, 0.0
    if square.any():
        coupled = sign * ratio("weight decay", through * other / _LARGE, push, constants)
    else:
        beside = probe.ask(p=1.0, **{f"a{second}": 1.0})[0]
        decoupled = ratio("weight decay", -beside, rate, constants, rounding=True)

    def denominator(g: float) -> tuple[Array, Array]:
        moved, root = asked(g=g)
        return np.abs(push) * g / np.abs(moved), root

    eps, place = _epsilon(denominator, rate, constants)
    return Anatomy(
        "adagrad" if b2 == 1 else "rmsprop", rate, climbs, coupled, decoupled, places, scales, μ,
        nesterov, push, pull, b2=b2, eps=eps, eps_place=place,
    )  # fmt: skip


def adam(probe: Probe, places: Mapping[str, int], constants: set[float], steps: Array) -> Anatomy:
    """d = m̂ / √v̂, the biases corrected."""
    second, b2, scale = _second(probe, places, constants)
    first = places["first"]
    b1 = settled(probe.ask(**{f"a{first}": 1.0})[1][first], constants)
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
            raise UnlikeError(
                "it takes AMSGrad's maximum after the bias correction, where the frameworks take "
                "it before",
                "nearest is amsgrad=True there; conventions.torch.adam(amsgrad=True) is that here",
            )
    moved, root = asked(g=_LARGE, **{f"a{second}": _HUGE})
    again, same = asked(g=_LARGE, **{f"a{second}": _HUGE, f"a{first}": _LARGE})
    if not equal(again * same, moved * root):
        raise UnlikeError(
            "its step is not the first moment over the root of the second: it looks ahead "
            "(nadam), or rectifies",
            "use adam or adamw",
        )
    rate, climbs = rate_of(moved * root)
    if not steady(rate) and steady(rate * np.sqrt(two) / one):
        raise UnlikeError("it does not correct the bias of its moments")
    sign = -1.0 if climbs else 1.0
    coupled = sign * through
    decoupled = 0.0
    if not coupled:
        beside = probe.ask(p=1.0, **{f"a{second}": 1.0})[0]
        decoupled = ratio("weight decay", -beside, rate, constants, rounding=True)

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
    probe: Probe, places: Mapping[str, int], constants: set[float]
) -> tuple[int, float, float]:
    """The second moment's place, its decay (1 for a sum), and its scale."""
    second = places["second"]
    b2 = constant("β2", probe.ask(**{f"a{second}": 1.0})[1][second], constants)
    if not 0 <= b2 <= 1:
        raise UnlikeError(f"its second moment grows by {b2:g} at each step")
    q = constant("second moment's weight", probe.ask(g=1.0)[1][second], set())
    return second, b2, whole((1.0 if b2 == 1 else 1 - b2) / q)


def _first(
    probe: Probe, first: int, decay: Array | float, constants: set[float]
) -> tuple[float, float]:
    """λ / ±1 in a first moment, and its scale."""
    push, through = probe.ask(g=1.0)[1][first], probe.ask(p=1.0)[1][first]
    scale = constant("first moment's weight", (1 - decay) / push, set())
    return ratio("weight decay", through, push, constants), whole(scale)


def _epsilon(
    denominator: Callable[[float], tuple[Array, Array]],
    rate: Array,
    constants: set[float],
    two: Array | None = None,
) -> tuple[float, str]:
    """ε and its place.

    Args:
      denominator: from a gradient to the denominator with ε, and the root alone.
      rate: the learning rate; steps with learning rate 0 show no denominator.
      constants: the constants of the program.
      two: the root of the second moment's bias correction, if any.
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
