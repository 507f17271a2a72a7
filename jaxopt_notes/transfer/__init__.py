"""The way back: from an optimizer here to the same one in torch or Keras.

- `to_torch_optimizer`: the torch optimizer, with its state, param groups and scheduler
- `to_torch_state`, `to_torch_scheduler_state`: their state_dicts, made without torch; `as_tensors`
  for torch's own files
- `recognize`: which of torch's or Keras' optimizers a transformation is, and its state there

Names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxopt_notes.transfer.groups import Group as Group
    from jaxopt_notes.transfer.recognition import recognize as recognize
    from jaxopt_notes.transfer.to_torch import to_torch_optimizer as to_torch_optimizer
    from jaxopt_notes.transfer.to_torch import (
        to_torch_scheduler_state as to_torch_scheduler_state,
    )
    from jaxopt_notes.transfer.to_torch import to_torch_state as to_torch_state
    from jaxopt_notes.transfer.torch_objects import as_tensors as as_tensors

_HOMES = {
    "Group": "groups",
    "as_tensors": "torch_objects",
    "recognize": "recognition",
    "to_torch_optimizer": "to_torch",
    "to_torch_scheduler_state": "to_torch",
    "to_torch_state": "to_torch",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
