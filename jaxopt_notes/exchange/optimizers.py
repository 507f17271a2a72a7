"""Optimizers that both torch and `train` have, and their settings.

    torch                               train
    SGD                                 sgd; on the way back, momentum too
    Adam without weight decay           adam
    AdamW                               adamw
    Adagrad                             adagrad --no-eps-in-sqrt
    RMSprop                             rmsprop --no-eps-in-sqrt

Two velocities differ by a factor. RMSprop's has the learning rate inside here and outside in torch;
momentum's is a moving average here and a sum in torch's SGD. AdamW's decay and the bias corrections
round otherwise, so a run goes on to rounding, not to the bit.
"""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxopt_notes import optimizers
from jaxopt_notes.config.settings import Settings
from jaxopt_notes.conventions import torch_groups
from jaxopt_notes.errors import InputError

_IN_CODE = "go on in code, with jaxopt_notes.conventions.translate"


class Counterpart(NamedTuple):
    """An optimizer on the other side.

    Attributes:
      name: of `train`'s optimizer, or of a function of `conventions.torch`.
      arguments: its settings without the learning rate.
      velocity: its velocity over the one on this side.
      rate: its learning rate over the one on this side.
    """

    name: str
    arguments: dict[str, Any]
    velocity: float = 1.0
    rate: float = 1.0


def here(settings: torch_groups.Settings, scheduled: bool) -> Counterpart:
    """The optimizer of `train` with the trajectory of a torch param group.

    Args:
      settings: the group's; its learning rate is a number.
      scheduled: whether the learning rate changes.

    Raises:
      InputError: `train` has none; the line names the setting, and the way in code.
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
    """Raises InputError for a setting of torch's that no optimizer of `train` has."""
    reasons = {
        "maximize": "train descends",
        "amsgrad": "train's amsgrad corrects the bias before the maximum, as optax does",
        "lr_decay": "train's adagrad has none",
        "dampening": "train's sgd has none",
    }
    if kind != "AdamW":
        reasons["weight_decay"] = "it passes through the moments, and train's only decay does not"
    if kind == "RMSprop" and scheduled:
        reasons["momentum"] = (
            "under a schedule, torch has the learning rate outside the velocity, train inside"
        )
    for name, reason in reasons.items():
        if of.get(name):
            raise InputError(f"torch's {kind} with {name}={of[name]}: {reason}; {_IN_CODE}")


# Settings that torch has in one form only: their value there, and why.
_EPS = (False, "torch adds ε outside the root (train --no-eps-in-sqrt)")
_NO_ROOT = (0.0, "torch has no ε inside the root (train --eps-root 0)")
_FLOAT32 = (None, "torch keeps the parameters' dtype")
_ADAM = {
    "eps_root": _NO_ROOT,
    "mu_dtype": _FLOAT32,
    "nesterov": (False, "torch's NAdam has a momentum that changes"),
}
_ONLY: dict[str, dict[str, tuple[Any, str]]] = {
    "sgd": {"accumulator_dtype": _FLOAT32},
    "momentum": {"accumulator_dtype": _FLOAT32},
    "adagrad": {"eps_in_sqrt": _EPS},
    "rmsprop": {
        "eps_in_sqrt": _EPS,
        "initial_scale": (0.0, "torch's average begins with 0 (train --initial-scale 0)"),
        "nesterov": (False, "torch's RMSprop has none"),
        "bias_correction": (False, "torch's RMSprop has none"),
    },
    "adam": _ADAM,
    "adamw": _ADAM,
}


def there(config: Settings) -> Counterpart:
    """The function of `conventions.torch` with the trajectory of a run.

    Raises:
      InputError: torch has none; the line names the setting and the nearest that torch has.
    """
    name = config.optimizer
    if name not in _ONLY:
        raise InputError(f"torch has no optimizer with the steps of train's {name}")
    make = getattr(optimizers, name)
    defaults = {key: p.default for key, p in inspect.signature(make).parameters.items()}
    of = defaults | config.hyperparameters
    for setting, (value, reason) in _ONLY[name].items():
        if of[setting] not in (value, "float32" if value is None else value):
            raise InputError(f"train's {name} with {setting}={of[setting]}: {reason}")
    scheduled = config.schedule != "constant" or bool(config.warmup)
    if name == "rmsprop" and of["momentum"] and scheduled:
        raise InputError(
            f"train's rmsprop with momentum={of['momentum']} under a schedule: torch has the "
            "learning rate outside the velocity (train --schedule constant)"
        )
    momentum = {"momentum": of["momentum"]} if of.get("momentum") else {}
    if name == "sgd":
        nesterov = {"nesterov": True} if momentum and of["nesterov"] else {}
        return Counterpart("sgd", momentum | nesterov)
    if name == "momentum":
        rest = 1 - of["beta"]
        return Counterpart("sgd", {"momentum": of["beta"]}, velocity=1 / rest, rate=rest)
    arguments = {"eps": of["eps"]}
    if name == "adagrad":
        arguments |= {"initial_accumulator_value": of["initial_accumulator_value"]}
        return Counterpart("adagrad", arguments)
    if name == "rmsprop":
        arguments |= {"alpha": of["decay"], "centered": of["centered"], **momentum}
        return Counterpart("rmsprop", arguments, velocity=-1 / config.learning_rate)
    arguments |= {"betas": (of["b1"], of["b2"])}
    if name == "adamw":
        return Counterpart("adamw", arguments | {"weight_decay": of["weight_decay"]})
    return Counterpart("adam", arguments)
