"""Takes a rule apart into its parts and their numbers."""

from collections.abc import Mapping

import numpy as np

from jaxopt_notes.transfer.recognition.anatomy import (
    Anatomy,
    Array,
    Probe,
    equal,
    rate_of,
    ratio,
    settled,
)
from jaxopt_notes.transfer.recognition.reasons import UnlikeError
from jaxopt_notes.transfer.recognition.roots import adam, normalised
from jaxopt_notes.transfer.recognition.rules import Rule


@np.errstate(all="ignore")
def dissect(
    rule: Rule, numbers: Mapping[int, Array], steps: Array, constants: set[float]
) -> Anatomy:
    """Measures a rule.

    Args:
      rule: the rule.
      numbers: the program's numbers that the rule uses, (K, 1) for K steps.
      steps: (K,), the count of the bias correction at those steps, from 1.
      constants: the numbers in the program; a measured number probably equals one of them.

    Raises:
      UnlikeError: the rule has a part that the equation in `anatomy` does not have.
    """
    probe = Probe(rule, numbers, len(steps))
    places = _places(probe)
    roles = tuple(sorted(places))
    if roles == ():
        return _plain(probe, constants)
    if roles == ("first",):
        return _heavy_ball(probe, places, constants)
    drives = {"first", "second"} <= places.keys() and _drives(probe, places)
    if set(roles) - {"first", "velocity"} == {"second"} and not drives:
        return normalised(probe, places, constants, steps)
    if roles in (("first", "second"), ("first", "largest", "second")):
        return adam(probe, places, constants, steps)
    held = " and ".join(f"{s.owner}.{s.field}" for s in rule.slots)
    raise UnlikeError(f"it keeps {held} for each parameter")


def _places(probe: Probe) -> dict[str, int]:
    """The role of each accumulator."""
    places: dict[str, int] = {}
    slots = probe.rule.slots
    for i in sorted(range(len(slots)), key=lambda i: len(probe.others(i))):
        role = _role(probe, i, places)
        if not role or role in places:
            raise UnlikeError(
                f"its {slots[i].owner}.{slots[i].field} is neither a sum nor an average of the "
                "gradients or of their squares"
            )
        places[role] = i
    return places


def _role(probe: Probe, i: int, places: Mapping[str, int]) -> str:
    if not probe.others(i):
        once, twice, back = (probe.ask(g=g)[1][i] for g in (1.0, 2.0, -1.0))
        if not once.any():
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


def _drives(probe: Probe, places: Mapping[str, int]) -> bool:
    """Whether the first moment moves the parameter, instead of being subtracted inside the root."""
    first, second = places["first"], places["second"]
    new = probe.ask(**{f"a{first}": 1.0, f"a{second}": 1.0})[1]
    if not equal(new[first], new[second]):  # a variance needs equal decays of both
        return True
    update, new = probe.ask(**{f"a{first}": 1.0, f"a{second}": 4.0})
    return bool((new[places["velocity"]] if "velocity" in places else update).any())


def _plain(probe: Probe, constants: set[float]) -> Anatomy:
    (a, _), (b, _) = probe.ask(g=1.0), probe.ask(p=1.0)
    if not equal(probe.ask(g=-3.0)[0], -3 * a):
        raise UnlikeError(
            "its step is not a multiple of the gradient: it clips it, or takes its sign"
        )
    rate, climbs = rate_of(a)
    # λ inside the gradient and λ beside the step are equivalent without an accumulator.
    decay = ratio("weight decay", -b, rate, constants, rounding=np.abs(b).max() > 0)
    return Anatomy("sgd", rate, climbs, coupled=decay, decoupled=decay)


def _heavy_ball(probe: Probe, places: Mapping[str, int], constants: set[float]) -> Anatomy:
    """v ← μ v + push g ; u = pull v, or u = pull (push g + μ v)."""
    one = {f"a{places['first']}": 1.0}
    (of_v, (momentum,)), (of_g, (push,)), (of_p, (through,)) = (
        probe.ask(**one), probe.ask(g=1.0), probe.ask(p=1.0),
    )  # fmt: skip
    μ = settled(momentum, constants)
    if not equal(probe.ask(g=-3.0)[0], -3 * of_g):
        raise UnlikeError(
            "its step is not a multiple of its velocity: it clips it, or takes its sign"
        )
    if not μ.any():
        return _plain(probe, constants)
    pull = of_v / μ
    rest = of_g - pull * push
    nesterov = not equal(of_g, pull * push)
    if nesterov:
        if not equal(rest * μ, pull * push):
            raise UnlikeError("its step is neither its velocity nor Nesterov's form of it")
        pull = pull / μ
    rate, climbs = rate_of(pull * push)
    sign = -1.0 if climbs else 1.0
    coupled = sign * ratio("weight decay", through, push, constants)
    inside = pull * through * (1 + μ if nesterov else 1)
    beside = np.zeros_like(of_p) if equal(of_p, inside) else inside - of_p
    decoupled = ratio("weight decay", beside, rate, constants, rounding=True)
    return Anatomy(
        "sgd", rate, climbs, coupled, decoupled, places, {"first": 1.0}, μ, nesterov, push, pull
    )
