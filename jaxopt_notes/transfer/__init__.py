"""The way back: from an optimizer here to the same one in torch or Keras.

- `recognize`: which of torch's or Keras' optimizers a transformation is, and its state there

Names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxopt_notes.transfer.groups import Group as Group
    from jaxopt_notes.transfer.recognition import recognize as recognize

_HOMES = {
    "Group": "groups",
    "recognize": "recognition",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
