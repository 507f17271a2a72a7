"""`explain`: from an optimizer to its equations."""

from typing import Any

from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require
from jaxopt_notes.microscope.equations.tracing import Program, checked, trace_factory, trace_made


def explain(optimizer: Any, params: Any = None, *, name: str = "", **hyperparameters: Any) -> Any:
    """The equations that an optimizer computes at a step, read from its program and checked.

    Args:
      optimizer: a factory such as `optax.adamw`, whose equations name the hyperparameters; or a
        transformation, whose equations have only numbers.
      params: the parameters, a tree of arrays (default: a weight and a bias). Pass yours if the
        optimizer treats arrays differently by names or shapes.
      name: the optimizer's name (default: the factory's name).
      **hyperparameters: the factory's arguments.

    Returns:
      An `Explanation`: `print` it; a notebook shows it in LaTeX. If its `holds` is False, no
      equation describes the optimizer, and the text shows only the part that was understood.

    Raises:
      InputError: it is not an optimizer, its arguments are wrong, or its update needs more than
        gradients: the loss, a Hessian, a closure.
      MissingExtraError: SymPy is not installed.

    >>> import jaxopt_notes
    >>> from jaxopt_notes.microscope import explain
    >>> print(explain(jaxopt_notes.sgd, learning_rate=0.1, momentum=0.9).text)
    sgd(learning_rate=0.1, momentum=0.9)
      v ← β v + g                                             β = 0.9
      θ ← θ − α v                                             α = 0.1
      checked: 100 steps in float64; the largest difference is ...
    """
    require("explain", "microscope")
    program, called, own = _traced(optimizer, params, name, hyperparameters)
    return explain_program(program, called, own)


def _traced(
    optimizer: Any, params: Any, name: str, hyperparameters: dict[str, Any]
) -> tuple[Program, str, str]:
    made = hasattr(optimizer, "init") and hasattr(optimizer, "update")
    if made and not isinstance(optimizer, type):
        if hyperparameters:
            raise InputError(
                f"{next(iter(hyperparameters))}: a finished transformation takes no arguments; "
                "pass its factory to name its hyperparameters"
            )
        name = name or "optimizer"
        return trace_made(name, optimizer, params), name, ""
    if not callable(optimizer):
        checked(name or "optimizer", optimizer)
    name = name or getattr(optimizer, "__name__", "optimizer")
    home = str(getattr(optimizer, "__module__", "")).partition(".")[0]
    if home in ("torch", "keras", "tensorflow"):
        raise InputError(
            f"{name}: is {home}'s, and explain reads programs that JAX traces; "
            f"pass jaxopt_notes.conventions.{home.replace('flow', 'flow1')}'s "
            "function of that name"
        )
    program = trace_factory(name, optimizer, hyperparameters, params)
    arguments = ", ".join(f"{k}={_shown(v)}" for k, v in hyperparameters.items())
    return program, f"{name}({arguments})", name.rpartition(".")[2]


def _shown(value: Any) -> str:
    return getattr(value, "__name__", "schedule") if callable(value) else repr(value)


def explain_program(program: Program, called: str, own: str) -> Any:
    """The explanation of a traced program."""
    from jaxopt_notes.microscope.equations.checking import check
    from jaxopt_notes.microscope.equations.explanation import (
        Explanation,
        Hyperparameter,
        cases,
        starts,
    )
    from jaxopt_notes.microscope.equations.owners import conventions
    from jaxopt_notes.microscope.equations.remarks import remarks
    from jaxopt_notes.microscope.equations.system import read_system

    system = read_system(program)
    result = check(system)
    used = {s.name for line in system.lines for s in line.expr.free_symbols}
    numbers = tuple(
        Hyperparameter(letter, system.names.get(letter, letter), value)
        for letter, value in system.constants.items()
        if letter in used or letter in system.names
    )
    return Explanation(
        called,
        numbers,
        cases(system),
        starts(system),
        remarks(system, result),
        result,
        conventions(system, own) if result.holds else (),
        system,
    )
