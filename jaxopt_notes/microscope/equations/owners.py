"""Finds the frameworks whose equations take an equal path, or have the optimizer's name."""

import inspect
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.microscope.equations.checking import gradients
from jaxopt_notes.microscope.equations.evaluation import Step
from jaxopt_notes.microscope.equations.system import System
from jaxopt_notes.verification import formulas, oracle_equations
from jaxopt_notes.verification.frameworks import FRAMEWORKS

_STEPS = 24
_NEAR = 1e-9
FRAMEWORK_NAMES = {"notes": "the notes", "optax": "optax", "torch": "torch", "keras": "Keras",
                   "tensorflow1": "TensorFlow 1"}  # fmt: skip
_TERMS = {
    "β₁": "β1",
    "β₂": "β2",
    "ε": "ε",
    "ε_root": "ε_root",
    "β": "β",
    "μ": "μ",
    "τ": "dampening",
}
_SWITCHES = ("nesterov", "amsgrad", "centered", "maximize", "inside", "debias")
_DECAYS = ("decoupled", "coupled", "unscaled")


class Convention(NamedTuple):
    """One framework's optimizer, compared with the explained optimizer.

    Attributes:
      framework: "optax", "torch", "keras", "tensorflow1" or "notes".
      optimizer: its name in `jaxopt_notes.conventions`, or in optax.
      switches: the options that must be switched on.
      same: whether it takes an equal path with equal numbers.
      formula: its formula, if it differs.
      defaults: its default values that differ from the explained optimizer's numbers.
    """

    framework: str
    optimizer: str
    switches: tuple[str, ...]
    same: bool
    formula: str
    defaults: dict[str, float]

    @property
    def name(self) -> str:
        """The name for readers."""
        called = f"{self.framework}.{self.optimizer}"
        on = ", ".join(f"{s}=True" for s in self.switches)
        return f"{called}({on})" if on else called


def conventions(system: System, name: str) -> tuple[Convention, ...]:
    """The frameworks' optimizers that have an equal path with these numbers, or an equal name.

    Args:
      system: equations that hold.
      name: the factory's own name, such as "adam".
    """
    rates = _rates(system)
    if rates is None or len(system.regimes) > 1:
        return ()
    try:
        path = _path(system)
    except ValueError:
        return ()
    same: dict[str, Convention] = {}
    other = []
    for called in FRAMEWORKS:
        framework, optimizer = called.split(".")
        chosen = _same(system, called, rates, path)
        defaults = _other_defaults(called, system)
        if chosen is not None:
            on = tuple(
                s
                for s in _SWITCHES
                if chosen.get(s) is True
                and s != "inside"
                and FRAMEWORKS[called][1].get(s) is not True
            )
            own = Convention(framework, optimizer, on, True, "", defaults)
            best = same.setdefault(framework, own)
            if (optimizer != name, len(on)) < (best.optimizer != name, len(best.switches)):
                same[framework] = own
        elif optimizer == name:
            other.append(
                Convention(framework, optimizer, (), False, _formula(called, system), defaults)
            )
    return (*same.values(), *other)


def _rates(system: System) -> np.ndarray | None:
    if "α" in system.constants:
        return np.full(_STEPS, system.constants["α"])
    for name in system.program.schedules:
        if name in ("learning_rate", "lr", "alpha", "eta"):
            schedule = system.program.schedules[name]
            return np.array([float(schedule(k)) for k in range(_STEPS)])
    return None


def _path(system: System) -> list[list[np.ndarray]]:
    """θ after each step of the equations, for each array."""
    program = system.program
    params: list[Any] = list(program.params)
    slots = [
        s.spread(np.asarray(s.initial, np.float64), params[s.leaf or 0].shape)
        for s in program.slots
    ]
    seen = []
    for grads in gradients(program, _STEPS):
        step = Step(system, grads, params, slots)
        params, slots = step.parameters(), step.state()
        seen.append(params)
    return seen


def _same(
    system: System, called: str, rates: np.ndarray, path: list[list[np.ndarray]]
) -> dict[str, Any] | None:
    """The terms with which a framework's equation takes the given path."""
    if not _could_be(system, called):
        return None
    for terms in _choices(called, system):
        if all(
            _follows(called, terms, system, rates, path, leaf)
            for leaf in range(len(system.program.params))
        ):
            return terms
    return None


def _could_be(system: System, called: str) -> bool:
    """Whether the equation has as many state slots; this alone rules out most equations."""
    own = {
        letter
        for s, letter in zip(system.program.slots, system.slots)
        if s.leaf is not None and letter
    }
    equation = FRAMEWORKS[called][0]
    sizes = {oracle_equations.sgd: (0, 1), oracle_equations.adagrad: (1, 1),
             oracle_equations.rmsprop: (1, 3), oracle_equations.adam: (2, 3),
             oracle_equations.lion: (1, 1)}  # fmt: skip
    low, high = sizes[equation]
    return low <= len(own) <= high


def _follows(
    called: str,
    terms: Mapping[str, Any],
    system: System,
    rates: np.ndarray,
    path: list[list[np.ndarray]],
    leaf: int,
) -> bool:
    program = system.program
    grads = [g[leaf] for g in gradients(program, _STEPS)]
    start = program.params[leaf]
    with np.errstate(all="ignore"):
        steps = FRAMEWORKS[called][0](grads, rates, start, **terms)
        for there, here in zip(steps, path):
            size = np.maximum(np.abs(here[leaf] - start), 1e-6 * np.abs(start) + 1e-300)
            if not (np.abs(there - here[leaf]) <= _NEAR * size + 1e-15 * np.abs(start)).all():
                return False
    return True


def _numbers(called: str, system: System) -> dict[str, Any]:
    """The equation's terms with the system's numbers."""
    equation, own, names = FRAMEWORKS[called]
    takes = inspect.signature(equation).parameters
    settable = {word for pair in names.split() for word in pair.split("=")[1].split(",")}
    terms = dict(own)
    for letter, value in system.constants.items():
        term = _TERMS.get(letter, "")
        if term in takes and (term in settable or term in own):
            terms[term] = value
    for slot, letter in zip(system.program.slots, system.slots):
        term = f"{letter}0"
        if term in takes and (term in settable or term == "G0"):
            terms[term] = float(np.ravel(slot.initial)[0])
    if "λ" in system.constants:
        for decay in _DECAYS:
            if decay in settable:
                terms[decay] = system.constants["λ"]
    elif "decoupled" in own:
        terms["decoupled"] = 0.0
    return terms


def _choices(called: str, system: System) -> Iterator[dict[str, Any]]:
    """The terms with each of the framework's switches off and on."""
    names = FRAMEWORKS[called][2]
    settable = {pair.split("=")[1] for pair in names.split()}
    numbers = _numbers(called, system)
    switches = [s for s in _SWITCHES if s in settable]
    for values in itertools.product((False, True), repeat=len(switches)):
        changed = {s: v for s, v in zip(switches, values) if v != numbers.get(s, False)}
        yield numbers | changed


def _whole(called: str, terms: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(FRAMEWORKS[called][0]).parameters.items()
    return {n: p.default for n, p in parameters if p.kind is p.KEYWORD_ONLY} | dict(terms)


def _formula(called: str, system: System) -> str:
    """The framework's formula with the given numbers and switches, and the unused numbers."""
    equation, own, names = FRAMEWORKS[called]
    settable = {word for pair in names.split() for word in pair.split("=")[1].split(",")}
    terms = _whole(called, _numbers(called, system))
    asked = [s for s in _SWITCHES if system.program.settings.get(s) is True]
    lacks = [s for s in asked if s not in settable and not own.get(s)]
    terms |= {s: True for s in asked if s in settable}
    for letter, word in (("β", "momentum"), ("μ", "momentum"), ("λ", "weight_decay")):
        needs = _DECAYS if letter == "λ" else (letter,)
        if letter in system.constants and not settable & {*needs} and not {*own} & {*needs}:
            lacks.append(word)
    text = _written(equation, terms, set(lacks))
    without = f" (it takes no {', '.join(dict.fromkeys(lacks))})" if lacks else ""
    return text + without


def _written(equation: Any, terms: dict[str, Any], lacks: set[str]) -> str:
    if equation is oracle_equations.adam:
        parts = [formulas.adam_eps(terms)]
        parts += [formulas.decay(terms)] if any(terms[d] for d in _DECAYS) else []
        parts += [formulas.amsgrad(terms)] if terms["amsgrad"] else []
        text = "; ".join(parts)
    elif equation is oracle_equations.adagrad:
        text = formulas.adagrad_eps(terms)
    elif equation is oracle_equations.rmsprop:
        write = formulas.rmsprop_velocity if terms["μ"] else formulas.rmsprop_eps
        text = write(terms)
    elif equation is oracle_equations.sgd:
        text = "θ ← θ − α g" if "momentum" in lacks else formulas.velocity(terms)
    else:
        text = "θ ← θ − α (sign(β1 m + (1 − β1) g) + λ θ)"
    for plain, raised in (("β1", "β₁"), ("β2", "β₂"), ("^t", "ᵗ"), ("_0", "₀")):
        text = text.replace(plain, raised)
    return text


def _other_defaults(called: str, system: System) -> dict[str, float]:
    """The framework's default numbers that differ from the system's."""
    own = FRAMEWORKS[called][1]
    here = {_TERMS[k]: v for k, v in system.constants.items() if k in _TERMS}
    here |= {
        f"{letter}0": float(np.ravel(s.initial)[0])
        for s, letter in zip(system.program.slots, system.slots)
        if letter in ("G", "E") and s.initial is not None
    }
    if "λ" in system.constants:
        here["decoupled"] = system.constants["λ"]
    return {
        ("λ" if k == "decoupled" else k): v
        for k, v in own.items()
        if k in here and here[k] != v and not isinstance(v, bool)
    }
