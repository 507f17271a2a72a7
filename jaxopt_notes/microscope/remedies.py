"""Finds the keywords that make an optimizer's function follow another equation."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from jaxopt_notes.microscope.steps import equation_text
from jaxopt_notes.microscope.steps.families import Structure
from jaxopt_notes.microscope.steps.fitting import Fit

# Letter → the frameworks' names for it. The first name that a function takes is used.
_NUMBERS = {
    "α": ("learning_rate", "lr", "alpha", "eta"),
    "β1": ("b1", "beta_1", "beta1", "momentum", "beta", "decay"),
    "τ": ("dampening",),
    "β2": ("b2", "beta_2", "beta2", "rho", "decay", "alpha", "beta"),
    "μ": ("momentum",),
    "ε": ("eps", "epsilon"),
    "ε_root": ("eps_root",),
    "v0": ("initial_scale", "initial_accumulator_value"),
    "λ": ("weight_decay",),
    "η": ("lr_decay",),
}


class Part(NamedTuple):
    """A part of an equation in which two optimizers may differ.

    Attributes:
      name: in words, as "ε".
      first: this part of the first optimizer, in words.
      second: this part of the second optimizer, in words.
      letter: the hyperparameter's letter, or empty.
      field: the field of the structure, or empty.
    """

    name: str
    first: str
    second: str
    letter: str = ""
    field: str = ""


_LETTERS = {
    "α": "learning rate α",
    "β1": "β1, the decay of the first moment",
    "β2": "β2, the decay of the second moment",
    "τ": "dampening τ",
    "μ": "momentum μ",
    "ε": "ε",
    "ε_root": "ε inside the root",
    "v0": "the second moment's initial value",
    "clip": "clipping bound",
    "λ": "weight decay λ",
    "η": "the learning rate's decay η",
}
_FIELDS: dict[str, tuple[str, dict[Any, str]]] = {
    "maximize": ("direction", {False: "descends", True: "climbs"}),
    "clip": ("clipping", {"": "none", "value": "by value", "norm": "by norm"}),
    "decay": (
        "weight decay",
        {"": "none", "coupled": "through the moments", "decoupled": "beside the moments"},
    ),
    "first": (
        "first moment",
        {
            **{"": "none", "sum": "a sum, β1 m + g", "average": "an average, β1 m + (1 − β1) g"},
            "dampened": "a sum that is dampened from the second step on",
        },
    ),
    "nesterov": ("Nesterov's look-ahead", {False: "no", True: "yes"}),
    "second": (
        "second moment",
        {
            **{"": "none", "sum": "a sum", "average": "an average", "centred": "centred"},
            "max": "the largest average, before the bias correction",
            "max of corrected": "the largest average, after the bias correction",
            "infinity": "the largest gradient",
        },
    ),
    "corrects": (
        "bias correction",
        {
            "": "none",
            "m": "of the first moment",
            "v": "of the second moment",
            "mv": "of both moments",
        },
    ),
    "eps": (
        "ε",
        {
            **{"": "none visible", "outside": "outside the root", "inside": "inside the root"},
            "hat": "outside the root, before the bias correction",
            "both": "outside the root, and another inside it",
            "floor": "a lower bound of the root",
        },
    ),
    "initial": ("second moment's start", {False: "0", True: "another value"}),
    "momentum": (
        "momentum after the division",
        {"": "none", "sum": "yes", "nesterov": "yes, with Nesterov's look-ahead"},
    ),
    "sign": ("sign of the direction", {False: "not taken", True: "taken"}),
    "fading": ("decay of the learning rate", {False: "no", True: "yes"}),
    "first_count": ("count of the first step", {1: "1", 2: "2"}),
    "late": ("step", {False: "by its own gradient", True: "by the gradient before"}),
}
# Fields that only say that a hyperparameter exists; its number shows this too.
_IMPLIED = {"initial": "v0", "momentum": "μ", "fading": "η"}


def parts(a: Fit, b: Fit) -> Iterator[Part]:
    """The parts in which two equations differ."""
    first, second = numbers(a), numbers(b)
    for field, (name, words) in _FIELDS.items():
        here, there = getattr(a.structure, field), getattr(b.structure, field)
        if here != there:
            yield Part(name, words[here], words[there], _IMPLIED.get(field, ""), field)
    for letter, name in _LETTERS.items():
        here, there = first.get(letter), second.get(letter)
        if here is not None and there is not None and here != there:
            yield Part(name, f"{here:.9g}", f"{there:.9g}", letter)


def numbers(fit: Fit) -> dict[str, float]:
    """Hyperparameters by letter, each as the shortest decimal that rounding allows."""
    own = dict(fit.values)
    own["α"] = own.pop("rate", own["α"])
    if "αλ" in own:
        own["λ"] = own.pop("decay", own["αλ"] / own["α"])
    letters = ("α", *fit.structure.letters, *(("λ",) if "λ" in own else ()))
    return {
        letter: equation_text.tidy(own[letter], fit.doubt.get(letter, 0.0))
        for letter in dict.fromkeys(letters)
    }


def changes(made: Callable[..., Any], part: Part, goal: Fit) -> dict[str, Any]:
    """The keywords that give a function the second optimizer's part; {} if it has none.

    Args:
      made: the first optimizer's function.
      part: the part that differs.
      goal: the second optimizer's equation.
    """
    takes = inspect.signature(made).parameters
    changed = dict(_flags(part, goal.structure, takes))
    value = numbers(goal).get(part.letter, 0.0)
    if part.letter in ("β1", "β2") and "betas" in takes:
        now = numbers(goal)
        changed["betas"] = (now.get("β1", 0.0), now.get("β2", 0.0))
    elif part.letter:
        name = next((name for name in _NUMBERS.get(part.letter, ()) if name in takes), None)
        changed |= {name: value} if name else {}
    elif part.field in ("first", "decay"):
        letter = {"first": "β1", "decay": "λ"}[part.field]
        kind = getattr(goal.structure, part.field)
        name = next((name for name in _NUMBERS[letter] if name in takes), None)
        changed |= {name: numbers(goal).get(letter, 0.0) if kind else 0.0} if name else {}
    return changed


def _flags(part: Part, goal: Structure, takes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    flags: dict[str, dict[str, Any]] = {
        "maximize": {"maximize": goal.maximize},
        "nesterov": {"nesterov": goal.nesterov, "use_nesterov": goal.nesterov},
        "momentum": {"nesterov": goal.momentum == "nesterov"},
        "second": {"centered": goal.second == "centred", "amsgrad": "max" in goal.second},
        "eps": {"eps_in_sqrt": goal.eps == "inside"},
        "corrects": {
            "bias_correction": "v" in goal.corrects,
            "bias_correction_mu": "m" in goal.corrects,
            "bias_correction_nu": "v" in goal.corrects,
        },
    }
    for name, value in flags.get(part.field, {}).items():
        if name in takes:
            yield name, value
