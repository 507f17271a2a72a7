"""The microscope: the equation of any optimizer, the name of any difference.

- `explain`: the equation, read off an optimizer's program (needs the extra `microscope`: SymPy)
- `identify`: the equation, from an optimizer's steps alone
- `diagnose`, `assert_same_optimizer`: why two optimizers part, and what makes them agree
- `watch`, `readings`: what an optimizer does while it trains

Names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxopt_notes.microscope.diagnosis import Diagnosis as Diagnosis
    from jaxopt_notes.microscope.diagnosis import assert_same_optimizer as assert_same_optimizer
    from jaxopt_notes.microscope.diagnosis import diagnose as diagnose
    from jaxopt_notes.microscope.identification import Identification as Identification
    from jaxopt_notes.microscope.identification import identify as identify

_HOMES = {
    "Diagnosis": "diagnosis",
    "Identification": "identification",
    "assert_same_optimizer": "diagnosis",
    "diagnose": "diagnosis",
    "identify": "identification",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxopt_notes.microscope' has no attribute {name!r}")
    return getattr(import_module(f"jaxopt_notes.microscope.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
