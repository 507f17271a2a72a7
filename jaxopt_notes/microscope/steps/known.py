"""The conventions with a given equation, and departures from a convention in words."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from jaxopt_notes.errors import InputError, nearest
from jaxopt_notes.microscope.steps.families import Structure


class Convention(NamedTuple):
    """A framework's optimizer.

    Attributes:
      name: framework.optimizer.
      note: its peculiarity.
      usual: its equation by default.
      options: the other options that its arguments allow, by the structure's field.
      rate_inside: whether the learning rate is inside the velocity, if there is a velocity.
    """

    name: str
    note: str
    usual: Structure
    options: dict[str, tuple[Any, ...]]
    rate_inside: bool | None = None

    @property
    def label(self) -> str:
        """The printed form."""
        framework, optimizer = self.name.split(".")
        return f"{_OWNERS[framework]} {optimizer}: {self.note}"


_OWNERS = {
    "optax": "optax's",
    "torch": "torch's",
    "keras": "Keras'",
    "tensorflow1": "TensorFlow 1's",
    "notes": "the notes'",
}
_ADAM = Structure(first="average", second="average", corrects="mv", eps="outside")
_ADAMAX = _ADAM._replace(second="infinity", corrects="m", eps="inside")
_RMS = Structure(second="average", eps="inside")
_SUM = Structure(second="sum", eps="inside")
_LAST = _ADAM._replace(second="max of corrected")
_COUPLED = {"decay": ("", "coupled")}
_BESIDE = {"decay": ("", "decoupled")}
_SGD = {"first": ("", "sum"), "nesterov": (False, True)}
_CENTRED = {"second": ("average", "centred"), "momentum": ("", "sum")}
_MAX = {"second": ("average", "max")}
_NADAM = {"nesterov": (False, True), "eps": ("outside", "both", "inside")}
_OUTSIDE, _INSIDE, _HAT = "ε outside the root", "ε inside the root", "ε before the bias correction"

CONVENTIONS = tuple(
    Convention(*row)
    for row in (
        ("optax.sgd", "the velocity is a plain sum", Structure(), _SGD, False),
        (
            "torch.sgd",
            "dampening spares the first step, decay is coupled",
            Structure(),
            {**_SGD, **_COUPLED, "first": ("", "sum", "dampened")},
            False,
        ),
        ("keras.sgd", "the learning rate is inside", Structure(), {**_SGD, **_BESIDE}, True),
        ("notes.momentum", "the velocity is a moving average", Structure(first="average"), {}),
        ("notes.adagrad", f"{_OUTSIDE}, G_0 = 0", _SUM._replace(eps="outside"), {}),
        ("notes.rmsprop", _INSIDE, _RMS, {}),
        ("notes.adam", f"{_OUTSIDE}, after the correction", _ADAM, {}),
        ("notes.adamw", "decoupled decay", _ADAM._replace(decay="decoupled"), {}),
        (
            "optax.ema",
            "a moving average with bias correction",
            _ADAM._replace(second="", eps="", corrects="m"),
            {},
        ),
        ("optax.adagrad", "ε and G_0 inside the root", _SUM, {}),
        ("keras.adagrad", "ε and G_0 inside the root", _SUM, _BESIDE),
        ("tensorflow1.adagrad", "no ε", _SUM._replace(eps="", initial=True), {}),
        (
            "torch.adagrad",
            _OUTSIDE,
            _SUM._replace(eps="outside"),
            {"initial": (False, True), "fading": (False, True), **_COUPLED},
        ),
        (
            "optax.rmsprop",
            f"{_INSIDE} by default",
            _RMS,
            {
                **_CENTRED,
                "momentum": ("", "sum", "nesterov"),
                "eps": ("inside", "outside"),
                "initial": (False, True),
                "corrects": ("", "v"),
            },
            True,
        ),
        ("keras.rmsprop", _INSIDE, _RMS, {**_CENTRED, **_BESIDE}, True),
        (
            "tensorflow1.rmsprop",
            f"{_INSIDE}, E_0 = 1",
            _RMS._replace(initial=True),
            _CENTRED,
            True,
        ),
        ("torch.rmsprop", _OUTSIDE, _RMS._replace(eps="outside"), {**_CENTRED, **_COUPLED}, False),
        ("optax.adam", f"{_OUTSIDE}, after the correction", _ADAM, _NADAM),
        ("optax.adamw", "decoupled decay", _ADAM._replace(decay="decoupled"), _NADAM),
        ("optax.nadam", _OUTSIDE, _ADAM._replace(nesterov=True), {"eps": _NADAM["eps"]}),
        ("torch.adam", f"{_OUTSIDE}, coupled decay", _ADAM, {**_MAX, **_COUPLED}),
        ("torch.adamw", "decoupled decay", _ADAM._replace(decay="decoupled"), _MAX),
        ("keras.adam", _HAT, _ADAM._replace(eps="hat"), {**_MAX, **_BESIDE}),
        ("tensorflow1.adam", _HAT, _ADAM._replace(eps="hat"), {}),
        (
            "tensorflow1.adamw",
            f"{_HAT}, decay without the learning rate",
            _ADAM._replace(eps="hat", decay="free"),
            {},
        ),
        (
            "optax.amsgrad",
            "the maximum is taken after the correction",
            _LAST,
            {"eps": ("outside", "both", "inside"), "corrects": ("mv", "v")},
        ),
        (
            "optax.amsgrad",
            "without the second moment's correction",
            _LAST._replace(second="max", corrects=""),
            {"eps": ("outside", "both", "inside"), "corrects": ("m", "")},
        ),
        ("optax.adamax", "ε inside the maximum", _ADAMAX, _BESIDE),
        ("torch.adamax", "ε inside the maximum", _ADAMAX, _COUPLED),
        ("keras.adamax", "ε outside the maximum", _ADAMAX._replace(eps="outside"), _BESIDE),
        (
            "optax.lion",
            "β1 for the step, β2 for the memory",
            Structure(sign=True, first="average"),
            _BESIDE,
        ),
        ("optax.sign_sgd", "the gradient's sign", Structure(sign=True), {}),
    )
)
# Fields outside conventions: any optimizer may have the option, or none should.
_FREE = {"maximize", "clip", "first_count", "late"}
_WEIGHTS = {"second": 4, "sign": 9, "first": 3, "momentum": 3, "fading": 3, "nesterov": 2}


def claimed(name: str) -> Convention:
    """The convention of a name such as torch.adamw.

    Raises:
      InputError: there is no convention of that name.
    """
    by_name = {c.name: c for c in reversed(CONVENTIONS)}
    if name not in by_name:
        near = nearest(name, by_name)
        remedy = f"did you mean {near}?" if near else f"choose from {', '.join(sorted(by_name))}"
        raise InputError(f"--claim {name}: is not a known convention; {remedy}")
    return by_name[name]


def _differences(s: Structure, convention: Convention, rate_inside: bool | None) -> list[str]:
    """The fields in which a structure is not allowed by the convention."""
    usual, options = convention.usual, convention.options
    if s.decay == "coupled" and not (s.first or s.second or s.sign):
        s = s._replace(decay=options.get("decay", ("coupled",))[-1])  # the same path
    fields = [
        field
        for field in Structure._fields
        if field not in _FREE
        and getattr(s, field) not in options.get(field, (getattr(usual, field),))
    ]
    if None not in (rate_inside, convention.rate_inside) and rate_inside != convention.rate_inside:
        fields.append("rate_inside")
    return fields


def conventions(s: Structure, rate_inside: bool | None = None) -> list[str]:
    """The conventions with this equation, possibly none.

    >>> conventions(Structure(second="average", eps="outside"), rate_inside=False)
    ["torch's rmsprop: ε outside the root"]
    """
    seen = [s]
    if s.second == "sum" and s.eps == "inside":  # G_0 in place of ε gives an equal path
        seen.append(s._replace(eps="", initial=True))
    elif s.second == "sum" and s.initial and not s.eps:
        seen.append(s._replace(eps="inside", initial=False))
    return [
        c.label for c in CONVENTIONS if any(not _differences(one, c, rate_inside) for one in seen)
    ]


def departures(
    s: Structure, rate_inside: bool | None, convention: Convention | None = None
) -> list[str]:
    """The departures of an equation from a convention, or else from the nearest one, in words."""
    if convention is None:
        if conventions(s, rate_inside):
            return []
        convention = min(
            CONVENTIONS,
            key=lambda c: sum(_WEIGHTS.get(f, 1) for f in _differences(s, c, rate_inside)),
        )
    compared = f" (compared with {convention.label.partition(':')[0]})"
    fields = _differences(s, convention, rate_inside)
    return [f"{w}{compared}" for w in _words(s, convention.usual, fields, rate_inside)]


def _words(
    s: Structure, usual: Structure, fields: list[str], rate_inside: bool | None
) -> Iterator[str]:
    for field in fields:
        if field == "rate_inside":
            yield f"the learning rate is {'inside' if rate_inside else 'outside'} the velocity"
        elif field == "corrects":
            for letter, moment in (("m", "first"), ("v", "second")):
                if letter in usual.corrects and letter not in s.corrects:
                    yield f"no bias correction of the {moment} moment"
                if letter in s.corrects and letter not in usual.corrects:
                    yield f"the bias of the {moment} moment is corrected"
        elif field == "initial":
            yield f"the second moment starts from {'another value than 0' if s.initial else '0'}"
        else:
            here = getattr(s, field)
            yield _WORDS.get((field, here), f"{field} is {here or 'none'}")


_WORDS = {
    ("eps", "outside"): "ε stands outside the root",
    ("eps", "inside"): "ε stands inside the root",
    ("eps", "hat"): "ε is added before the bias correction",
    ("eps", "floor"): "ε is a floor under the root, not added to it",
    ("eps", "both"): "ε stands inside and outside the root",
    ("eps", ""): "no ε, or one too small to be seen",
    ("second", "max"): "the maximum is taken before the bias correction",
    ("second", "max of corrected"): "the maximum is taken after the bias correction",
    ("second", "average"): "the second moment is a moving average",
    ("second", "sum"): "the second moment is a sum",
    ("decay", "coupled"): "the weight decay is coupled: it passes through the moments",
    ("decay", "decoupled"): "the weight decay is decoupled: it does not pass through the moments",
    ("decay", "free"): "the weight decay is not multiplied by the learning rate",
    ("decay", ""): "no weight decay",
    ("first", ""): "no first moment",
    ("first", "sum"): "the velocity is a plain sum",
    ("first", "dampened"): "the velocity is dampened, but not at the first step",
    ("first", "average"): "the velocity is scaled by 1 − β1",
    ("nesterov", True): "it looks ahead, as Nesterov's momentum does",
    ("nesterov", False): "it does not look ahead",
    ("fading", True): "the learning rate falls with the steps",
}
