"""The way back: from an optimizer here to the same one in torch or Keras.

- `flax_arrangement`, `to_nnx_optimizer`, `to_train_state`, `from_flax`: Flax modules of one's own
  (needs the extra `train`)
- `to_torch_optimizer`: the torch optimizer, with its state, param groups and scheduler
- `prove`: whether a run that was moved from torch goes on as it would have there
- `to_torch_state`, `to_torch_scheduler_state`: their state_dicts, made without torch; `as_tensors`
  for torch's own files
- `recognize`: which of torch's or Keras' optimizers a transformation is, and its state there

Names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaxopt_notes.extras import require

if TYPE_CHECKING:
    from jaxopt_notes.transfer.flax import Run as Run
    from jaxopt_notes.transfer.flax import from_flax as from_flax
    from jaxopt_notes.transfer.flax import to_nnx_optimizer as to_nnx_optimizer
    from jaxopt_notes.transfer.flax import to_train_state as to_train_state
    from jaxopt_notes.transfer.flax_names import after_flatten as after_flatten
    from jaxopt_notes.transfer.flax_tree import flax_arrangement as flax_arrangement
    from jaxopt_notes.transfer.groups import Group as Group
    from jaxopt_notes.transfer.proving import prove as prove
    from jaxopt_notes.transfer.recognition import recognize as recognize
    from jaxopt_notes.transfer.run_proof import Proof as Proof
    from jaxopt_notes.transfer.to_torch import to_torch_optimizer as to_torch_optimizer
    from jaxopt_notes.transfer.to_torch import (
        to_torch_scheduler_state as to_torch_scheduler_state,
    )
    from jaxopt_notes.transfer.to_torch import to_torch_state as to_torch_state
    from jaxopt_notes.transfer.torch_objects import as_tensors as as_tensors

_HOMES = {
    "Group": "groups",
    "Proof": "run_proof",
    "Run": "flax",
    "after_flatten": "flax_names",
    "as_tensors": "torch_objects",
    "flax_arrangement": "flax_tree",
    "from_flax": "flax",
    "prove": "proving",
    "recognize": "recognition",
    "to_nnx_optimizer": "flax",
    "to_torch_optimizer": "to_torch",
    "to_torch_scheduler_state": "to_torch",
    "to_torch_state": "to_torch",
    "to_train_state": "flax",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOMES[name].startswith("flax"):
        require(f"{__name__}.{name}", "train", "flax")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
