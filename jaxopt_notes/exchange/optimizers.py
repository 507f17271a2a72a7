"""Finds the optimizer of `train` for an optimizer of torch. `transfer.recognize` does the reverse.

    torch                               train
    SGD                                 sgd
    Adam without weight decay           adam
    AdamW                               adamw
    Adagrad                             adagrad --no-eps-in-sqrt
    RMSprop                             rmsprop --no-eps-in-sqrt

Here RMSprop's velocity includes the learning rate; in torch it does not. AdamW's decay and the bias
corrections round differently, so a run continues equal up to rounding, not bit for bit.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxopt_notes.conventions import torch_groups
from jaxopt_notes.errors import InputError

IN_CODE = "continue in Python, with jaxopt_notes.conventions.translate"


class Counterpart(NamedTuple):
    """An optimizer of `train`.

    Attributes:
      name: its name.
      arguments: its settings without the learning rate.
      velocity: its velocity divided by torch's.
    """

    name: str
    arguments: dict[str, Any]
    velocity: float = 1.0


def here(settings: torch_groups.Settings, scheduled: bool) -> Counterpart:
    """The optimizer of `train` that takes the same steps as a torch param group.

    Args:
      settings: the param group's settings; its learning rate is a number.
      scheduled: whether the learning rate changes.

    Raises:
      InputError: `train` has no such optimizer; the line names the setting, and the way in code.
    """
    kind, of = settings
    _refuse_foreign(kind, of, scheduled)
    momentum = {"momentum": of["momentum"]} if of.get("momentum") else {}
    if kind == "SGD":
        nesterov = {"nesterov": True} if of["nesterov"] else {}
        return Counterpart("sgd", momentum | nesterov)
    arguments = {"eps": of["eps"]}
    if kind == "Adagrad":
        arguments |= {"initial_accumulator_value": of["initial_accumulator_value"]}
        return Counterpart("adagrad", arguments | {"eps_in_sqrt": False})
    if kind == "RMSprop":
        centered = {"centered": True} if of["centered"] else {}
        arguments |= {"decay": of["alpha"], "eps_in_sqrt": False, **centered, **momentum}
        return Counterpart("rmsprop", arguments, velocity=-of["lr"])
    b1, b2 = of["betas"]
    arguments |= {"b1": b1, "b2": b2}
    if kind == "AdamW":
        return Counterpart("adamw", arguments | {"weight_decay": of["weight_decay"]})
    return Counterpart("adam", arguments)


def _refuse_foreign(kind: str, of: Mapping[str, Any], scheduled: bool) -> None:
    """Raises InputError for a torch setting that no optimizer of `train` has."""
    reasons = {
        "maximize": "train only minimizes",
        "amsgrad": "train's amsgrad corrects the bias before the maximum, as optax does",
        "lr_decay": "train's adagrad has none",
        "dampening": "train's sgd has none",
    }
    if kind != "AdamW":
        reasons["weight_decay"] = "torch's decay passes through the moments, and train's does not"
    if kind == "RMSprop" and scheduled:
        reasons["momentum"] = (
            "under a schedule, torch has the learning rate outside the velocity, train inside"
        )
    for name, reason in reasons.items():
        if of.get(name):
            raise InputError(f"torch's {kind} with {name}={of[name]}: {reason}; {IN_CODE}")
