"""The microscope: finds the equation of an optimizer and the differences between optimizers.

- `explain`: the equation, read from an optimizer's program (needs the extra `microscope`: SymPy)
- `identify`: the equation, from an optimizer's steps alone
- `diagnose`, `assert_same_optimizer`: why two optimizers differ, and which change makes them agree
- `watch`, `readings`: what an optimizer does while it trains

Names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxopt_notes.microscope.diagnosis import Diagnosis as Diagnosis
    from jaxopt_notes.microscope.diagnosis import assert_same_optimizer as assert_same_optimizer
    from jaxopt_notes.microscope.diagnosis import diagnose as diagnose
    from jaxopt_notes.microscope.equations.explaining import explain as explain
    from jaxopt_notes.microscope.steps.child import ChildStepper as ChildStepper
    from jaxopt_notes.microscope.steps.identification import Identification as Identification
    from jaxopt_notes.microscope.steps.identification import identify as identify
    from jaxopt_notes.microscope.steps.steppers import OptaxStepper as OptaxStepper
    from jaxopt_notes.microscope.steps.steppers import Stepper as Stepper
    from jaxopt_notes.microscope.steps.steppers import TorchStepper as TorchStepper
    from jaxopt_notes.microscope.steps.steppers import stepper as stepper
    from jaxopt_notes.microscope.watching import WatchState as WatchState
    from jaxopt_notes.microscope.watching import readings as readings
    from jaxopt_notes.microscope.watching import watch as watch

_HOMES = {
    "ChildStepper": "steps.child",
    "Diagnosis": "diagnosis",
    "Identification": "steps.identification",
    "OptaxStepper": "steps.steppers",
    "Stepper": "steps.steppers",
    "TorchStepper": "steps.steppers",
    "WatchState": "watching",
    "assert_same_optimizer": "diagnosis",
    "diagnose": "diagnosis",
    "explain": "equations.explaining",
    "identify": "steps.identification",
    "readings": "watching",
    "stepper": "steps.steppers",
    "watch": "watching",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
