"""Optimizers as notes: each equation in one file, proved equal to optax's.

The names below are imported when first used, so that `import jaxopt_notes` costs nothing and a
command can answer `--help` without JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from jaxopt_notes.conventions import translate, translate_state
    from jaxopt_notes.optimizers import (
        adagrad,
        adam,
        adam_to_sgd,
        adamw,
        add_decayed_weights,
        allow_one_loop,
        amsgrad,
        ema,
        handover,
        lion,
        momentum,
        nadam,
        one_loop_works,
        pack_state,
        packed,
        rmsprop,
        scale_by_adam,
        scale_by_amsgrad,
        scale_by_learning_rate,
        scale_by_lion,
        scale_by_rms,
        scale_by_rss,
        scale_by_stddev,
        sgd,
        trace,
        unpack_state,
        update_in_one_loop,
    )

__all__ = [
    "__version__",
    "adagrad",
    "adam",
    "adam_to_sgd",
    "adamw",
    "add_decayed_weights",
    "allow_one_loop",
    "amsgrad",
    "ema",
    "handover",
    "lion",
    "momentum",
    "nadam",
    "one_loop_works",
    "pack_state",
    "packed",
    "rmsprop",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "sgd",
    "trace",
    "translate",
    "translate_state",
    "unpack_state",
    "update_in_one_loop",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'jaxopt_notes' has no attribute {name!r}")
    room = "conventions" if name.startswith("translate") else "optimizers"
    value = getattr(import_module(f"jaxopt_notes.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
