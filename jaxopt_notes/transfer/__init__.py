"""Moves runs between frameworks: for your own Flax modules, with a proof on your checkpoint, and
back.

- `flax_arrangement`, `to_nnx_optimizer`, `to_train_state`, `from_flax`, `to_torch_weights`: for
  your own Flax modules (need the extra `train`)
- `prove`: whether a run that was moved from torch continues as it would in torch
- `to_torch_optimizer`: makes the torch optimizer, with its state, param groups and scheduler
- `to_torch_state`, `to_torch_scheduler_state`: make their state_dicts without torch; `as_tensors`
  converts these for torch's own files
- `to_keras_optimizer`: makes the Keras optimizer, with its state
- `recognize`: finds the torch or Keras optimizer that equals a transformation, and its state

Names are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaxopt_notes.extras import require

if TYPE_CHECKING:
    from jaxopt_notes.transfer.back.to_keras import to_keras_optimizer as to_keras_optimizer
    from jaxopt_notes.transfer.back.to_torch import to_torch_optimizer as to_torch_optimizer
    from jaxopt_notes.transfer.back.to_torch import (
        to_torch_scheduler_state as to_torch_scheduler_state,
    )
    from jaxopt_notes.transfer.back.to_torch import to_torch_state as to_torch_state
    from jaxopt_notes.transfer.back.torch_objects import as_tensors as as_tensors
    from jaxopt_notes.transfer.flax.containers import Run as Run
    from jaxopt_notes.transfer.flax.containers import from_flax as from_flax
    from jaxopt_notes.transfer.flax.containers import to_nnx_optimizer as to_nnx_optimizer
    from jaxopt_notes.transfer.flax.containers import to_train_state as to_train_state
    from jaxopt_notes.transfer.flax.names import after_flatten as after_flatten
    from jaxopt_notes.transfer.flax.tree import flax_arrangement as flax_arrangement
    from jaxopt_notes.transfer.flax.weights_back import to_torch_weights as to_torch_weights
    from jaxopt_notes.transfer.recognition.groups import Group as Group
    from jaxopt_notes.transfer.recognition.recognizing import recognize as recognize
    from jaxopt_notes.transfer.run_proof.proving import prove as prove
    from jaxopt_notes.transfer.run_proof.verdict import Proof as Proof

_HOMES = {
    "Group": "recognition.groups",
    "Proof": "run_proof.verdict",
    "Run": "flax.containers",
    "after_flatten": "flax.names",
    "as_tensors": "back.torch_objects",
    "flax_arrangement": "flax.tree",
    "from_flax": "flax.containers",
    "prove": "run_proof.proving",
    "recognize": "recognition.recognizing",
    "to_keras_optimizer": "back.to_keras",
    "to_nnx_optimizer": "flax.containers",
    "to_torch_optimizer": "back.to_torch",
    "to_torch_scheduler_state": "back.to_torch",
    "to_torch_state": "back.to_torch",
    "to_torch_weights": "flax.weights_back",
    "to_train_state": "flax.containers",
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
