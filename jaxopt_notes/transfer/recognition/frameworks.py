"""From the parts of an equation to the torch or Keras optimizer with these parts."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.transfer.recognition.anatomy import Anatomy, Array, equal, steady
from jaxopt_notes.transfer.recognition.numbers import snap
from jaxopt_notes.transfer.recognition.reasons import UnlikeError

_FIELDS = {
    "sgd": {"first": "trace"},
    "adagrad": {"second": "sum_of_squares"},
    "rmsprop": {"first": "mu", "second": "nu", "velocity": "trace"},
    "adam": {"first": "mu", "second": "nu", "largest": "nu_max"},
}
_VELOCITY = {"sgd": "first", "rmsprop": "velocity", "adagrad": "velocity", "adam": ""}


class Field(NamedTuple):
    """A framework's accumulator: scale × the rule's accumulator at `place` + shift."""

    place: int
    scale: float = 1.0
    shift: float = 0.0

    def of(self, x: Any) -> Any:
        """Computes the framework's accumulator from the rule's."""
        return x if (self.scale, self.shift) == (1, 0) else x * self.scale + self.shift


class Candidate(NamedTuple):
    """A framework's optimizer that has the parts.

    Attributes:
      name: the function of `conventions.torch` or `conventions.keras`.
      keywords: its arguments except the learning rate; β1 and momentum at each probed step.
      rate: the learning rate at each probed step.
      fields: how to compute each field of its state.
    """

    name: str
    keywords: dict[str, Any]
    rate: Array
    fields: dict[str, Field]


def torch(a: Anatomy, counts: Array, constants: set[float]) -> Candidate:
    """torch's optimizer: learning rate outside the velocity, ε outside the root, coupled decay.

    Args:
      a: the parts.
      counts: how many steps precede each probed step.
      constants: the program's numbers.

    Raises:
      UnlikeError: torch has no such optimizer.
    """
    sign = -1.0 if a.climbs else 1.0
    keywords: dict[str, Any] = {"maximize": a.climbs, "weight_decay": a.coupled}
    scales, shift, rate = dict(a.scales), 0.0, a.rate
    velocity = _VELOCITY[a.kind]
    if velocity in a.places:
        begin, dampening = _dampening(a, counts)
        rate = a.rate * (begin / a.push)
        keywords["momentum"], scales[velocity] = a.momentum, sign / begin
        if a.kind == "sgd":
            keywords |= {"nesterov": a.nesterov, "dampening": dampening}
        if dampening and (a.kind != "sgd" or a.nesterov):
            raise UnlikeError("its velocity takes the first step in full, and later ones in part")
        _check_nesterov(a)
    name = a.kind
    if a.kind == "adam" and a.decoupled:
        name, keywords["weight_decay"] = "adamw", a.decoupled
    elif a.decoupled and a.decoupled != a.coupled:
        raise UnlikeError(
            f"its weight decay of {a.decoupled:g} is decoupled from the step, which torch has "
            "only in AdamW",
            "put optax.add_decayed_weights in front, where the decay goes through the accumulators",
        )
    if a.kind == "adagrad" and a.eps_place == "inside":
        keywords["eps"], shift = 0.0, a.eps  # √(G + ε) is the root of a sum that began at G_0 + ε
    elif a.kind != "sgd":
        keywords["eps"] = a.eps
        _check_torch_eps(a)
    if a.kind == "adam":
        keywords |= {"betas": (a.b1, a.b2), "amsgrad": "largest" in a.places}
    elif a.kind == "rmsprop":
        keywords |= {"alpha": a.b2, "centered": "first" in a.places}
    elif a.kind == "adagrad" and (falling := _lr_decay(rate, counts, constants)):
        keywords["lr_decay"] = falling
        rate = np.full_like(rate, rate[0] * (1 + counts[0] * falling))
    return _candidate(a, name, keywords, rate, scales, shift)


def keras(a: Anatomy, counts: Array, constants: set[float]) -> Candidate:
    """Keras' optimizer: learning rate inside the velocity, ε inside the root, decoupled decay.

    Args and errors as for `torch`.
    """
    if a.climbs:
        raise UnlikeError("it maximizes", "negate the loss")
    keywords: dict[str, Any] = {"weight_decay": a.decoupled or None}
    scales = dict(a.scales)
    for name, x in (("momentum", a.momentum), ("β1", a.b1)):
        if not steady(x):
            raise UnlikeError(f"its {name} changes with the steps", f"keep {name} constant")
    velocity = _VELOCITY[a.kind]
    if velocity in a.places:
        if not steady(a.pull):
            raise UnlikeError(
                "its learning rate changes and is outside the velocity, where Keras has it inside",
                "keep the learning rate constant, or use conventions.keras.sgd",
            )
        keywords["momentum"], scales[velocity] = a.momentum, float(a.pull[0])
        if a.kind == "sgd":
            keywords["nesterov"] = a.nesterov
        _check_nesterov(a)
    if a.coupled and a.coupled != a.decoupled:
        raise UnlikeError(
            f"its weight decay of {a.coupled:g} goes through the accumulators (coupled), where "
            "Keras decouples it",
            f"leave it out, and give the layers kernel_regularizer=L2({a.coupled / 2:g})",
        )
    if a.kind != "sgd":
        keywords["epsilon"] = a.eps
        _check_keras_epsilon(a)
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
    a: Anatomy,
    name: str,
    keywords: dict[str, Any],
    rate: Array,
    scales: Mapping[str, float],
    shift: float = 0.0,
) -> Candidate:
    decay = keywords["weight_decay"]
    if decay and decay < 0:
        raise UnlikeError(f"its weight decay of {decay:g} is negative")
    names = _FIELDS[a.kind]
    fields = {names[r]: Field(place, scales.get(r, 1.0), shift) for r, place in a.places.items()}
    return Candidate(name, keywords, rate, fields)


def _dampening(a: Anatomy, counts: Array) -> tuple[float, float]:
    """The factor of the gradient in the velocity at the first step, and τ of the later steps."""
    first = counts == 0
    later = a.push[~first]
    if not steady(later):
        raise UnlikeError(
            "its learning rate changes and is inside the velocity, where torch has it outside",
            "keep the learning rate constant, or put momentum before the learning rate: "
            "chain(scale_by_…, trace, scale_by_learning_rate)",
        )
    if not first.any() or equal(a.push[first], later[0]):
        return float(later[0]), 0.0
    begin = float(a.push[first][0])
    return begin, snap(1 - later[0] / begin, set(), 1e-14)


def _lr_decay(rate: Array, counts: Array, constants: set[float]) -> float:
    """η if the learning rate is α / (1 + k η) after k steps; else 0."""
    if steady(rate) or not rate.all():
        return 0.0
    inverse, k = 1 / rate, int(np.argmax(counts))
    slope = (inverse[k] - inverse[0]) / (counts[k] - counts[0])
    start = inverse[0] - slope * counts[0]
    if slope <= 0 or not equal(start + slope * counts, inverse, 1e-9):
        return 0.0
    return snap(slope / start, constants, 1e-9)


def _check_nesterov(a: Anatomy) -> None:
    if a.nesterov and a.kind != "sgd":
        raise UnlikeError(
            "its velocity looks ahead (nesterov=True), which the frameworks have only in SGD",
            "leave nesterov out",
        )


def _check_torch_eps(a: Anatomy) -> None:
    if a.eps_place in ("", "outside"):
        return
    if a.kind == "rmsprop" and a.eps_place == "inside":
        near = np.sqrt(a.eps)
        raise UnlikeError(
            "its ε is inside the root, where torch's RMSprop adds it to the root",
            f"nearest is torch.optim.RMSprop(alpha={a.b2:g}, eps={near:g}), with √ε, which "
            f"differs where gradients are below {10 * near:.0e}; "
            "jaxopt_notes.rmsprop(eps_in_sqrt=False) "
            "is the form that both have",
        )
    if a.eps_place == "hat":
        raise UnlikeError(
            "its ε is added before the bias correction, where torch's Adam adds it after",
            f"nearest is torch.optim.Adam(eps={a.eps:g}), which differs in the first steps",
        )
    _refuse_eps(a)


def _check_keras_epsilon(a: Anatomy) -> None:
    if a.eps_place in ("", "hat" if a.kind == "adam" else "inside"):
        return
    if a.eps_place != "outside":
        _refuse_eps(a)
    if a.kind == "adam":
        raise UnlikeError(
            "its ε is added after the bias correction, where Keras' Adam adds it before",
            f"nearest is keras.optimizers.Adam(epsilon={a.eps:g}), which differs in the first "
            "steps; the two agree with ε = 0",
        )
    raise UnlikeError(
        f"its ε is outside the root, where Keras' {a.kind} has it inside",
        f"nearest is epsilon={a.eps**2:g}, with ε², which differs where gradients are below "
        f"{10 * a.eps:.0e}; eps_in_sqrt=True is the form that both have",
    )


def _refuse_eps(a: Anatomy) -> None:
    if a.kind == "adam":
        raise UnlikeError(
            "it has an ε inside the root (eps_root), or rectifies its step (radam)",
            "leave eps_root out, or use adam",
        )
    raise UnlikeError("it has an ε that is not simply added to the root or inside it")
