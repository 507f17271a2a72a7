"""Whose convention an equation is, and in which words it departs from the nearest one."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from jaxopt_notes.microscope.families import Structure
from jaxopt_notes.microscope.fitting import Fit


class Convention(NamedTuple):
    """An optimizer as a framework has it.

    Attributes:
      label: whose it is, with what is particular to it.
      usual: its equation by default.
      options: the other choices that its arguments allow, by the structure's field.
    """

    label: str
    usual: Structure
    options: dict[str, tuple[Any, ...]] = {}  # noqa: RUF012  a default that nobody changes


_ADAM = Structure(first="average", second="average", corrects="mv", eps="outside")
_RMS = Structure(second="average", eps="inside")
_SUM = Structure(second="sum", eps="inside")
_COUPLED = {"decay": ("", "coupled")}
_BESIDE = {"decay": ("", "decoupled")}
_VELOCITY = {"first": ("", "sum"), "nesterov": (False, True)}
_CENTRED = {"second": ("average", "centred"), "momentum": ("", "sum")}
_MAX = {"second": ("average", "max")}
_MAX_ADAM = _ADAM._replace(second="max of corrected")

CONVENTIONS = (
    Convention("optax's sgd", Structure(), _VELOCITY),
    Convention(
        "torch's SGD (decay is added to the gradient)",
        Structure(),
        {**_VELOCITY, **_COUPLED, "first": ("", "sum", "dampened")},
    ),
    Convention("Keras' SGD (decay beside the step)", Structure(), {**_VELOCITY, **_BESIDE}),
    Convention("the notes' momentum and optax's sgd", Structure(first="sum")),
    Convention("optax's ema", Structure(first="average", corrects="m")),
    Convention("optax's adagrad (ε and G_0 inside the root)", _SUM),
    Convention("Keras' Adagrad (ε and G_0 inside the root)", _SUM, _BESIDE),
    Convention("TensorFlow 1's Adagrad (no ε)", _SUM._replace(eps="", initial=True)),
    Convention(
        "torch's Adagrad (ε outside the root)",
        _SUM._replace(eps="outside"),
        {"initial": (False, True), "fading": (False, True), **_COUPLED},
    ),
    Convention("optax's rmsprop default (ε inside the root)", _RMS),
    Convention(
        "optax's rmsprop with its options",
        _RMS,
        {
            **_CENTRED,
            "momentum": ("", "sum", "nesterov"),
            "eps": ("inside", "outside"),
            "initial": (False, True),
            "corrects": ("", "v"),
        },
    ),
    Convention("Keras' RMSprop (ε inside the root)", _RMS, {**_CENTRED, **_BESIDE}),
    Convention("TensorFlow 1's RMSProp", _RMS._replace(initial=True), _CENTRED),
    Convention(
        "torch's RMSprop (ε outside the root)",
        _RMS._replace(eps="outside"),
        {**_CENTRED, **_COUPLED},
    ),
    Convention("optax's adam (ε outside the root, after the correction)", _ADAM),
    Convention("optax's adamw", _ADAM._replace(decay="decoupled"), {"nesterov": (False, True)}),
    Convention(
        "optax's adam with its options",
        _ADAM,
        {"nesterov": (False, True), "eps": ("outside", "both", "inside"), **_BESIDE},
    ),
    Convention("torch's Adam (decay is added to the gradient)", _ADAM, {**_MAX, **_COUPLED}),
    Convention("torch's AdamW", _ADAM._replace(decay="decoupled"), _MAX),
    Convention(
        "Keras' Adam (ε before the correction)", _ADAM._replace(eps="hat"), {**_MAX, **_BESIDE}
    ),
    Convention("TensorFlow 1's Adam (ε before the correction)", _ADAM._replace(eps="hat"), _BESIDE),
    Convention(
        "optax's amsgrad (the maximum is taken after the correction)",
        _MAX_ADAM,
        {"eps": ("outside", "both", "inside"), "corrects": ("mv", "v")},
    ),
    Convention(
        "optax's amsgrad without the second moment's correction",
        _MAX_ADAM._replace(second="max", corrects=""),
        {"eps": ("outside", "both", "inside"), "corrects": ("m", "")},
    ),
    Convention(
        "optax's adamax", _ADAM._replace(second="infinity", corrects="m", eps="inside"), _BESIDE
    ),
    Convention(
        "torch's Adamax", _ADAM._replace(second="infinity", corrects="m", eps="inside"), _COUPLED
    ),
    Convention("Keras' Adamax", _ADAM._replace(second="infinity", corrects="m"), _BESIDE),
    Convention("Lion's, as optax's lion has it", Structure(sign=True, first="average"), _BESIDE),
    Convention("optax's sign_sgd", Structure(sign=True)),
)
# What any optimizer may be told, and what is no matter of convention.
_FREE = {"maximize", "clip", "first_count", "late"}
_WEIGHTS = {"second": 4, "sign": 9, "first": 3, "momentum": 3, "fading": 3, "nesterov": 2}


def _differences(s: Structure, convention: Convention) -> list[str]:
    usual = convention.usual
    if s.decay == "coupled" and not s.first and not s.second and not s.sign:
        s = s._replace(decay=next(iter(convention.options.get("decay", ("",))[::-1])))
    return [
        field
        for field in Structure._fields
        if field not in _FREE
        and getattr(s, field) not in convention.options.get(field, (getattr(usual, field),))
    ]


def conventions(s: Structure) -> list[str]:
    """Whose equation this is; none where it is nobody's.

    >>> conventions(Structure(second="sum", eps="", initial=True))
    ["TensorFlow 1's Adagrad (no ε)"]
    """
    return [c.label for c in CONVENTIONS if not _differences(s, c)]


def nearest(s: Structure) -> Convention:
    """The convention with the fewest and least differences."""
    return min(
        CONVENTIONS, key=lambda c: sum(_WEIGHTS.get(field, 1) for field in _differences(s, c))
    )


def departures(s: Structure, usual: Structure, fields: list[str]) -> Iterator[str]:
    """What is different, in words."""
    for field in fields:
        here, there = getattr(s, field), getattr(usual, field)
        if field == "corrects":
            for letter, moment in (("m", "first"), ("v", "second")):
                if letter in there and letter not in here:
                    yield f"no bias correction of the {moment} moment"
                if letter in here and letter not in there:
                    yield f"the bias of the {moment} moment is corrected"
        elif field == "initial":
            yield "the second moment does not start from 0" if here else "it starts from 0"
        else:
            yield _WORDS.get((field, here), f"{field} is {here or 'none'}, not {there or 'none'}")


_WORDS = {
    ("eps", "outside"): "ε stands outside the root",
    ("eps", "inside"): "ε stands inside the root",
    ("eps", "hat"): "ε is added before the bias correction",
    ("eps", "both"): "ε stands inside and outside the root",
    ("eps", ""): "no ε, or one too small to be seen",
    ("second", "max"): "the maximum is taken before the bias correction",
    ("second", "max of corrected"): "the maximum is taken after the bias correction",
    ("decay", "coupled"): "the weight decay is coupled: it passes through the moments",
    ("decay", "decoupled"): "the weight decay is decoupled: it does not pass through the moments",
    ("decay", ""): "no weight decay",
    ("first", "dampened"): "the velocity is dampened, but not at the first step",
    ("nesterov", True): "it looks ahead, as Nesterov's momentum does",
    ("nesterov", False): "it does not look ahead",
    ("fading", True): "the learning rate falls with the steps",
}


def faults(fit: Fit) -> Iterator[str]:
    """What no convention has, and what departs from the nearest one."""
    s = fit.structure
    if s.first_count == 2:
        yield "the first step counts as 2"
    if s.late:
        yield "each step applies the direction of the step before"
    if min(fit.values.get("λ", 0.0), fit.values.get("αλ", 0.0)) < 0:
        yield "the weight decay has the wrong sign: it makes parameters grow"
    if not conventions(s):
        convention = nearest(s)
        words = departures(s, convention.usual, _differences(s, convention))
        yield from (f"{sentence} (compared with {convention.label})" for sentence in words)
