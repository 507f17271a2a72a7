"""torch's schedulers as values of `--schedule`, written as calls like those in torch.

    StepLR(step_size=500, gamma=0.1)
    SequentialLR([LinearLR(0.01, total_iters=100), CosineAnnealingLR(T_max=900)], [100])

A call leaves out the optimizer; the learning rate is `--learning-rate` (for OneCycleLR, max_lr).
The scheduler takes a step after each step of the optimizer, or with `every=938` after every 938th,
like a scheduler that steps once per epoch. Needs no JAX, and executes nothing: it parses the call
as text.
"""

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxopt_notes.errors import InputError

_LONGEST = 2000  # characters
_NO_CALL = "is not a call of a scheduler; pass one such as StepLR(step_size=500)"
_NEEDED = object()
_EVERY = "every"
# torch's arguments in torch's order, with torch's defaults
ARGUMENTS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": _NEEDED, "gamma": 0.1},
    "MultiStepLR": {"milestones": _NEEDED, "gamma": 0.1},
    "ExponentialLR": {"gamma": _NEEDED},
    "ConstantLR": {"factor": 1 / 3, "total_iters": 5},
    "LinearLR": {"start_factor": 1 / 3, "end_factor": 1.0, "total_iters": 5},
    "PolynomialLR": {"total_iters": 5, "power": 1.0},
    "CosineAnnealingLR": {"T_max": _NEEDED, "eta_min": 0.0},
    "CosineAnnealingWarmRestarts": {"T_0": _NEEDED, "T_mult": 1, "eta_min": 0.0},
    "OneCycleLR": {
        "total_steps": _NEEDED,
        "pct_start": 0.3,
        "anneal_strategy": "cos",
        "div_factor": 25.0,
        "final_div_factor": 1e4,
        "three_phase": False,
    },
    "SequentialLR": {"schedulers": _NEEDED, "milestones": _NEEDED},
}


class Call(NamedTuple):
    """A torch scheduler.

    Attributes:
      kind: the name of its class.
      arguments: all its arguments, by name; those of SequentialLR hold other schedulers.
      every: the number of the optimizer's steps for each step of the scheduler.
    """

    kind: str
    arguments: Mapping[str, Any]
    every: int = 1

    @property
    def steps(self) -> int | None:
        """The optimizer's steps after which the scheduler ends; None where it has no end."""
        of = self.arguments
        if self.kind == "SequentialLR":
            last = of["schedulers"][-1].steps
            return None if last is None else self.every * (of["milestones"][-1] + last)
        name = {"OneCycleLR": "total_steps", "CosineAnnealingLR": "T_max"}.get(self.kind)
        return self.every * of[name] if name else None


def is_call(text: str) -> bool:
    """Whether a schedule's text is a call rather than a name."""
    return "(" in text


def read(text: str) -> Call:
    """The scheduler that a call describes.

    Raises:
      InputError: the text is not a call, its scheduler is not supported, or an argument is wrong.

    >>> read("CosineAnnealingLR(T_max=100)").arguments
    {'T_max': 100, 'eta_min': 0.0}
    """
    try:
        if len(text) > _LONGEST:
            raise ValueError
        expression = ast.parse(text.strip(), mode="eval").body
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise InputError(_NO_CALL) from None
    return _call(expression)


def shown(call: Call) -> str:
    """The call as text, without the arguments that have torch's defaults.

    >>> shown(read("StepLR(500, gamma=0.1)"))
    'StepLR(step_size=500)'
    """
    defaults = {**ARGUMENTS[call.kind], _EVERY: 1}
    values = {**call.arguments, _EVERY: call.every}
    arguments = [f"{name}={_text(x)}" for name, x in values.items() if x != defaults[name]]
    return f"{call.kind}({', '.join(arguments)})"


def make(kind: str, *, every: int = 1, **arguments: Any) -> Call:
    """A scheduler, with torch's defaults for arguments that are left out.

    Raises:
      InputError: an argument is unknown, missing or wrong.
    """
    known = ARGUMENTS[kind]
    for name in arguments:
        if name not in known:
            raise InputError(f"{kind} takes no {name} here; pass {', '.join((*known, _EVERY))}")
    of = {name: arguments.get(name, default) for name, default in known.items()}
    for name, value in {**of, _EVERY: every}.items():
        if value is _NEEDED:
            raise InputError(f"{kind} has no {name}; add it")
        if not _FITS[name](value):
            raise InputError(
                f"{kind} has {name}={_text(value)[:60]}, which torch does not take; correct it"
            )
    if kind == "SequentialLR" and len(of["milestones"]) != len(of["schedulers"]) - 1:
        raise InputError(
            "SequentialLR has the wrong number of milestones; pass one fewer than schedulers"
        )
    return Call(kind, of, every)


def _text(value: Any) -> str:
    if isinstance(value, Call):
        return shown(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    return repr(value)


def _call(expression: ast.expr) -> Call:
    if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Name):
        raise InputError(_NO_CALL)
    kind = expression.func.id
    if kind not in ARGUMENTS:
        raise InputError(f"{kind} is not a scheduler here; pass one of {', '.join(ARGUMENTS)}")
    names = list(ARGUMENTS[kind])
    if len(expression.args) > len(names):
        raise InputError(f"{kind} has too many arguments; pass {', '.join(names)}")
    arguments = dict(zip(names, map(_value, expression.args)))
    for keyword in expression.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            raise InputError(f"{kind} has {keyword.arg or '**'} twice; pass each argument once")
        arguments[keyword.arg] = _value(keyword.value)
    return make(kind, **arguments)


def _value(expression: ast.expr) -> Any:
    if isinstance(expression, ast.List | ast.Tuple):
        return tuple(map(_value, expression.elts))
    if isinstance(expression, ast.Call):
        return _call(expression)
    try:
        return ast.literal_eval(expression)
    except ValueError:
        raise InputError("has an argument that is not a number; write numbers, not names") from None


def _number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and 0 <= x < math.inf


def _positive(x: Any) -> bool:
    return _number(x) and x > 0


def _whole(x: Any) -> bool:
    return isinstance(x, int) and _positive(x)


def _plain(x: Any) -> bool:
    """Whether `x` is a scheduler that may stand in a SequentialLR."""
    return isinstance(x, Call) and x.kind not in ("OneCycleLR", "SequentialLR") and x.every == 1


_FITS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("step_size", "total_iters", "T_max", "T_0", "T_mult", "total_steps"), _whole),
    **dict.fromkeys(("gamma", "factor", "power", "end_factor", "eta_min"), _number),
    **dict.fromkeys(("start_factor", "div_factor", "final_div_factor"), _positive),
    "pct_start": lambda x: _number(x) and x <= 1,
    "anneal_strategy": lambda x: x in ("cos", "linear"),
    "three_phase": lambda x: isinstance(x, bool),
    "milestones": lambda x: isinstance(x, tuple) and all(map(_whole, x)),
    "schedulers": lambda x: isinstance(x, tuple) and bool(x) and all(map(_plain, x)),
    _EVERY: _whole,
}
