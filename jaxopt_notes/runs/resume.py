"""Going on with a run: its settings are the defaults, and what would make it another is refused."""

from dataclasses import asdict
from typing import Any

from jaxopt_notes.config.settings import HYPERPARAMETERS, Config, option
from jaxopt_notes.errors import InputError

# The rest may change from one part of a run to the next.
MATTERS = (
    *("dataset", "batch_size", "shift", "seed", "dropout", "clip_norm"),
    *("optimizer", "hyperparameters", "learning_rate", "schedule", "warmup", "switch_at"),
)
# The weights in the checkpoints fit no other.
FIXED = ("model", "pooling", "widths", "norm", "activation", "image_size", "ema")
# Their optimizer's state has another structure or meaning.
NEW_OPTIMIZER = ("optimizer", "hyperparameters", "schedule", "switch_at", "clip_norm")
# An epoch begun under one order cannot be ended under another.
NEW_ORDER = ("dataset", "batch_size", "seed")


def from_dict(settings: dict[str, Any]) -> Config:
    """The settings as `config.json` keeps them, as a `Config`."""
    widths = settings["widths"]
    return Config(**settings | {"widths": None if widths is None else tuple(widths)})


def defaults(config: Config, keep_optimizer: bool = True) -> dict[str, Any]:
    """The options' defaults that go on with a run; without those of its optimizer if so asked."""
    given = asdict(config) | {"mesh": None}  # the devices are those of today
    hyperparameters = given.pop("hyperparameters")
    if not keep_optimizer:
        return given | {"learning_rate": None, "switch_at": None}
    return given | {name: hyperparameters.get(name) for name in HYPERPARAMETERS}


def changes(folder: str, old: Config, new: Config, override: bool) -> set[str]:
    """Which settings that matter are others than the run's.

    Raises:
      InputError: there are some, and the user has not asked for that, or they cannot change.
    """
    found = [name for name in (*FIXED, *MATTERS) if getattr(old, name) != getattr(new, name)]
    for name in found:
        was, now = getattr(old, name), getattr(new, name)
        shown = "the optimizer's settings" if name == "hyperparameters" else option(name)
        told = f"{shown} {now}: the run in {folder} has {was}"
        if name in FIXED:
            raise InputError(f"{told}, which its weights are of; leave it out, or begin a new run")
        if not override:
            raise InputError(f"{told}; leave it out, or add --override to go on with another")
    return set(found)
