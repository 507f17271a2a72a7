"""The optimizers of `docs/equations.md`."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One optimizer of the page.

    Attributes:
      call: its factory and arguments in command-line form, or the code that makes it.
      make: the function that makes it, if `call` is code.
    """

    call: str
    make: Callable[[], Any] | None = None


_RATE = "learning_rate=0.1"
_OPTAX = (
    "sgd",
    "sgd momentum=0.9",
    "sgd momentum=0.9 nesterov=true",
    "adam",
    "adamw",
    "nadam",
    "nadamw",
    "adamax",
    "adamaxw",
    "amsgrad",
    "adagrad",
    "rmsprop",
    "rmsprop centered=true",
    "rmsprop momentum=0.9",
    "adabelief",
    "adadelta",
    "adafactor",
    "adan",
    "fromage",
    "lamb",
    "lars",
    "lion",
    "novograd",
    "optimistic_gradient_descent",
    "optimistic_adam",
    "radam",
    "rprop",
    "sign_sgd",
    "sm3",
    "yogi",
)
_CONTRIB = (
    "acprop",
    "ademamix",
    "adopt",
    "cocob",
    "dadapt_adamw",
    "dog",
    "dowg",
    "madgrad",
    "prodigy",
    "schedule_free_sgd",
    "schedule_free_adamw",
    "simplified_ademamix",
)
_OURS = (
    "sgd",
    "sgd momentum=0.9",
    "momentum",
    "adagrad",
    "adagrad eps_in_sqrt=false",
    "rmsprop",
    "rmsprop eps_in_sqrt=false",
    "rmsprop centered=true",
    "rmsprop momentum=0.9",
    "adam",
    "nadam",
    "amsgrad",
    "adamw",
    "lion",
    "ema decay=0.9",
)
_FRAMEWORKS = {
    "notes": (
        "sgd alpha=0.1",
        "momentum alpha=0.1",
        "adagrad alpha=0.1",
        "rmsprop eta=0.1",
        "adam alpha=0.1",
        "adamw alpha=0.1 weight_decay=0.01",
    ),
    "torch": (
        "sgd lr=0.1",
        "sgd lr=0.1 momentum=0.9",
        "sgd lr=0.1 momentum=0.9 dampening=0.5",
        "sgd lr=0.1 momentum=0.9 nesterov=true weight_decay=0.01",
        "adagrad",
        "adagrad lr_decay=0.1",
        "rmsprop",
        "rmsprop momentum=0.9 centered=true",
        "adam",
        "adam weight_decay=0.01",
        "adam amsgrad=true",
        "adamw",
        "adam maximize=true",
    ),
    "keras": (
        "sgd",
        "sgd momentum=0.9",
        "sgd momentum=0.9 nesterov=true",
        "adagrad",
        "rmsprop",
        "rmsprop momentum=0.9 centered=true",
        "adam",
        "adam amsgrad=true",
        "adamw",
    ),
    "tensorflow1": (
        "gradient_descent learning_rate=0.1",
        "momentum learning_rate=0.1 momentum=0.9",
        "adagrad learning_rate=0.1",
        "rmsprop learning_rate=0.1",
        "adam",
        "adamw weight_decay=0.01",
    ),
}


def rows() -> dict[str, list[Row]]:
    """The page's optimizers, by section."""
    return {
        "This package, equal to optax": [Row(_with_rate(f"jaxopt_notes.{x}", x)) for x in _OURS],
        "The same names in other frameworks": [
            Row(f"jaxopt_notes.conventions.{home}.{x}")
            for home, calls in _FRAMEWORKS.items()
            for x in calls
        ],
        "optax": [Row(_with_rate(f"optax.{x}", x)) for x in _OPTAX],
        "optax.contrib": [Row(_with_rate(f"optax.contrib.{x}", x)) for x in _CONTRIB],
        "Wrappers, chains and schedules of optax": _wrapped(),
    }


def _with_rate(call: str, name: str) -> str:
    own = ("ema", "cocob", "dadapt_adamw", "dog", "dowg", "prodigy", "adafactor")
    return call if name.split()[0] in own else f"{call} {_RATE}"


def _wrapped() -> list[Row]:
    """Optimizers that need code, each beside its text; a test compares the two."""
    import optax

    return [
        Row(
            "optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.001))",
            lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.001)),
        ),
        Row(
            "optax.chain(optax.clip(1.0), optax.sgd(0.1, momentum=0.9))",
            lambda: optax.chain(optax.clip(1.0), optax.sgd(0.1, momentum=0.9)),
        ),
        Row(
            "optax.chain(optax.add_decayed_weights(0.01), optax.adam(0.001))",
            lambda: optax.chain(optax.add_decayed_weights(0.01), optax.adam(0.001)),
        ),
        Row(
            "optax.masked(optax.sgd(0.1), {'weight': True, 'bias': False})",
            lambda: optax.masked(optax.sgd(0.1), {"weight": True, "bias": False}),
        ),
        Row(
            "optax.partition({'train': optax.adam(0.001), 'freeze': optax.set_to_zero()}, "
            "{'weight': 'train', 'bias': 'freeze'})",
            lambda: optax.partition(
                {"train": optax.adam(0.001), "freeze": optax.set_to_zero()},
                {"weight": "train", "bias": "freeze"},
            ),
        ),
        Row(
            "optax.inject_hyperparams(optax.adam)(0.001)",
            lambda: optax.inject_hyperparams(optax.adam)(0.001),
        ),
        Row(
            "optax.MultiSteps(optax.sgd(0.1, momentum=0.9), 4)",
            lambda: optax.MultiSteps(optax.sgd(0.1, momentum=0.9), 4),
        ),
        Row(
            "optax.apply_if_finite(optax.sgd(0.1, momentum=0.9), 3)",
            lambda: optax.apply_if_finite(optax.sgd(0.1, momentum=0.9), 3),
        ),
        Row(
            "optax.sgd(optax.cosine_decay_schedule(0.1, 80))",
            lambda: optax.sgd(optax.cosine_decay_schedule(0.1, 80)),
        ),
        Row(
            "optax.sgd(optax.exponential_decay(0.1, 10, 0.5))",
            lambda: optax.sgd(optax.exponential_decay(0.1, 10, 0.5)),
        ),
    ]
