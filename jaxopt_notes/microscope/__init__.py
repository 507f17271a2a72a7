"""The microscope: the equation of any optimizer, the name of any difference.

- `explain`: the equation, read off an optimizer's program (needs the extra `microscope`: SymPy)
- `watch`, `readings`: what an optimizer does while it trains

Names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxopt_notes.microscope.equations.explaining import explain as explain
    from jaxopt_notes.microscope.watching import WatchState as WatchState
    from jaxopt_notes.microscope.watching import readings as readings
    from jaxopt_notes.microscope.watching import watch as watch

_HOMES = {
    "WatchState": "watching",
    "explain": "equations.explaining",
    "readings": "watching",
    "watch": "watching",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxopt_notes.microscope' has no attribute {name!r}")
    return getattr(import_module(f"jaxopt_notes.microscope.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
