"""torch's schedulers as values of `--schedule`: a call, as one would write it in torch.

    StepLR(step_size=500, gamma=0.1)
    SequentialLR([LinearLR(0.01, total_iters=100), CosineAnnealingLR(T_max=900)], [100])

The optimizer is left out, and the learning rate is `--learning-rate` (of OneCycleLR, its max_lr).
The scheduler counts steps, as one does that steps after every `optimizer.step()`. Needs no JAX, and
executes nothing: a call is read as text.
"""

import ast
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxopt_notes.errors import InputError

_NEEDED = object()
_LONGEST = 2000  # characters
_NO_CALL = "is no call of a scheduler; give one such as StepLR(step_size=500)"

# torch's arguments in its order, and its defaults
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": _NEEDED, "gamma": 0.1},
    "MultiStepLR": {"milestones": _NEEDED, "gamma": 0.1},
    "ExponentialLR": {"gamma": _NEEDED},
    "CosineAnnealingLR": {"T_max": _NEEDED, "eta_min": 0.0},
    "LinearLR": {"start_factor": 1 / 3, "end_factor": 1.0, "total_iters": 5},
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
NAMES = tuple(_ARGUMENTS)


class Scheduler(NamedTuple):
    """A scheduler of torch's.

    Attributes:
      kind: its class.
      arguments: all of them, by name; those of SequentialLR hold other schedulers.
    """

    kind: str
    arguments: Mapping[str, Any]

    @property
    def steps(self) -> int | None:
        """The steps after which it has run its course; None where it has no end."""
        of = self.arguments
        if self.kind == "SequentialLR":
            last = of["schedulers"][-1].steps
            return None if last is None else of["milestones"][-1] + last
        name = {"OneCycleLR": "total_steps", "CosineAnnealingLR": "T_max"}.get(self.kind)
        return of[name] if name else None


def is_call(text: str) -> bool:
    """Whether a schedule's text is a call, and not a name."""
    return "(" in text


def shown(scheduler: Scheduler) -> str:
    """The call, without the arguments that have torch's defaults.

    >>> shown(read("StepLR(500, gamma=0.1)"))
    'StepLR(step_size=500)'
    """
    defaults = _ARGUMENTS[scheduler.kind]
    given = {k: v for k, v in scheduler.arguments.items() if v != defaults[k]}
    return f"{scheduler.kind}({', '.join(f'{k}={_text(v)}' for k, v in given.items())})"


def _text(value: Any) -> str:
    if isinstance(value, Scheduler):
        return shown(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    return repr(value)


def read(text: str) -> Scheduler:
    """The scheduler that a call describes.

    Raises:
      InputError: it is no call, or of no scheduler here, or an argument is wrong.

    >>> read("CosineAnnealingLR(T_max=100)").arguments
    {'T_max': 100, 'eta_min': 0.0}
    """
    try:
        if len(text) > _LONGEST:
            raise ValueError
        expression = ast.parse(text, mode="eval").body
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise InputError(_NO_CALL) from None
    return _scheduler(expression)


def make(kind: str, **arguments: Any) -> Scheduler:
    """A scheduler with torch's defaults for the arguments that are left out.

    Raises:
      InputError: an argument is unknown, missing or wrong.
    """
    known = _ARGUMENTS[kind]
    for name in arguments:
        if name not in known:
            raise InputError(f"{kind} takes no {name} here; it takes {', '.join(known)}")
    of = {name: arguments.get(name, default) for name, default in known.items()}
    for name, value in of.items():
        if value is _NEEDED:
            raise InputError(f"{kind} needs {name}; add it")
        if not _fits(name, value):
            raise InputError(f"{kind} has {name}={_text(value)[:60]}, which is out of range")
    if kind == "SequentialLR" and len(of["milestones"]) != len(of["schedulers"]) - 1:
        raise InputError("SequentialLR needs one milestone between each two schedulers")
    return Scheduler(kind, of)


def _scheduler(expression: ast.expr) -> Scheduler:
    if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Name):
        raise InputError(_NO_CALL)
    kind = expression.func.id
    if kind not in _ARGUMENTS:
        raise InputError(f"{kind} is no scheduler here; give one of {', '.join(NAMES)}")
    known = list(_ARGUMENTS[kind])
    if len(expression.args) > len(known):
        raise InputError(f"{kind} takes {', '.join(known)}")
    given = {name: _value(x) for name, x in zip(known, expression.args)}
    for keyword in expression.keywords:
        if keyword.arg is None or keyword.arg in given:
            raise InputError(f"{kind} has {keyword.arg or '**'} twice; give each argument once")
        given[keyword.arg] = _value(keyword.value)
    return make(kind, **given)


def _value(expression: ast.expr) -> Any:
    if isinstance(expression, ast.List | ast.Tuple):
        return tuple(map(_value, expression.elts))
    if isinstance(expression, ast.Call):
        return _scheduler(expression)
    try:
        return ast.literal_eval(expression)
    except ValueError:
        raise InputError("an argument is no number; write numbers, not names") from None


def _fits(name: str, value: Any) -> bool:
    def number(x: Any, least: float) -> bool:
        fits = isinstance(x, int | float) and not isinstance(x, bool)
        return fits and least <= x < math.inf

    def whole(x: Any, least: int) -> bool:
        return isinstance(x, int) and number(x, least)

    if name == "schedulers":
        return isinstance(value, tuple) and bool(value) and all(map(_is_plain, value))
    if name == "milestones":
        return isinstance(value, tuple) and all(whole(x, 1) for x in value)
    if name == "anneal_strategy":
        return value in ("cos", "linear")
    if name == "three_phase":
        return isinstance(value, bool)
    if name in ("step_size", "T_max", "total_iters", "total_steps"):
        return whole(value, 1)
    if name == "pct_start":
        return number(value, 0) and value <= 1
    if name in ("div_factor", "final_div_factor"):
        return number(value, 0) and value > 0
    return number(value, 0)  # gamma, eta_min and the factors


def _is_plain(value: Any) -> bool:
    """Whether it may stand in a SequentialLR."""
    return isinstance(value, Scheduler) and value.kind not in ("OneCycleLR", "SequentialLR")
