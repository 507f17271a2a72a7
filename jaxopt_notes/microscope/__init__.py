"""The microscope: the equation of any optimizer, the name of any difference.

    from jaxopt_notes.microscope import identify, stepper

    print(identify(stepper("torch.optim.RMSprop", {"lr": 0.01, "alpha": 0.9})))

The names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxopt_notes.microscope.child import ChildStepper as ChildStepper
    from jaxopt_notes.microscope.identification import Identification as Identification
    from jaxopt_notes.microscope.identification import identify as identify
    from jaxopt_notes.microscope.steppers import OptaxStepper as OptaxStepper
    from jaxopt_notes.microscope.steppers import Stepper as Stepper
    from jaxopt_notes.microscope.steppers import TorchStepper as TorchStepper
    from jaxopt_notes.microscope.steppers import stepper as stepper

_HOMES = {
    "ChildStepper": "child",
    "Identification": "identification",
    "identify": "identification",
    "OptaxStepper": "steppers",
    "Stepper": "steppers",
    "TorchStepper": "steppers",
    "stepper": "steppers",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
