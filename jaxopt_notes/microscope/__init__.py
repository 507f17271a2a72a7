"""The microscope: the equation of any optimizer, the name of any difference.

`explain` needs the extra `microscope` (SymPy). Names are imported when first used.
"""

from importlib import import_module
from typing import Any

_HOMES = {"Explanation": "explanation", "explain": "explaining"}

__all__ = ["Explanation", "explain"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxopt_notes.microscope' has no attribute {name!r}")
    return getattr(import_module(f"jaxopt_notes.microscope.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
