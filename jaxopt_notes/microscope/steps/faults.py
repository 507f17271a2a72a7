"""The faults that `identify` must name; users of many frameworks have met them."""

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jaxopt_notes.microscope.steps.planted import OPTIMIZERS, PlainOptimizer


class Fault(NamedTuple):
    """One planted fault.

    Attributes:
      name: what is wrong.
      optimizer: "adam", "sgd", "rmsprop" or "adagrad".
      options: the options of `PlainOptimizer`.
      claim: the convention that it should follow.
      words: words that the sentences of the identification must contain.
      numbers: hyperparameters that the identification must find.
    """

    name: str
    optimizer: str
    options: dict[str, Any]
    claim: str
    words: tuple[str, ...]
    numbers: dict[str, float] = {}  # noqa: RUF012  a default that nobody changes

    def build(self) -> PlainOptimizer:
        """The faulty optimizer."""
        return OPTIMIZERS[self.optimizer](**self.options)


_HALF = float(np.float16(0.999))
_BRAIN = float(ml_dtypes.bfloat16(0.99))
_BRAIN_1 = float(ml_dtypes.bfloat16(0.9))
_W = {"decay": 0.1}
_MU = {"momentum": 0.9}

SOUND = (
    Fault("Adam", "adam", {}, "optax.adam", (), {"b1": 0.9, "b2": 0.999, "eps": 1e-8}),
    Fault("AdamW", "adam", _W, "optax.adamw", (), {"weight_decay": 0.1}),
    Fault("SGD with momentum", "sgd", _MU, "torch.sgd", (), {"momentum": 0.9}),
    Fault("RMSProp", "rmsprop", _MU, "torch.rmsprop", (), {"decay": 0.99}),
    Fault("AdaGrad", "adagrad", {}, "torch.adagrad", (), {"eps": 1e-8}),
)
FAULTS = (
    Fault("counter stops", "adam", {"count_stops": 256}, "optax.adam", ("counter stops at 256",)),
    Fault(
        "counter starts again",
        "adam",
        {"count_again": 127},
        "optax.adam",
        ("starts again after 127",),
    ),
    Fault(
        "first step counted as 2",
        "adam",
        {"counts_from_2": True},
        "optax.adam",
        ("first step counts as 2",),
    ),
    Fault(
        "count raised once per array",
        "adam",
        {"count_per_array": True},
        "optax.adam",
        ("rises once per array",),
    ),
    Fault(
        "β2 rounded to float16", "adam", {"b2": _HALF}, "optax.adam", ("0.999 rounded to float16",)
    ),
    Fault(
        "β2 rounded to bfloat16",
        "adam",
        {"b2": _BRAIN},
        "optax.adam",
        ("0.99 rounded to bfloat16",),
    ),
    Fault(
        "β1 rounded to bfloat16",
        "adam",
        {"b1": _BRAIN_1},
        "optax.adam",
        ("0.9 rounded to bfloat16",),
    ),
    Fault(
        "no correction of m",
        "adam",
        {"no_correction_m": True},
        "optax.adam",
        ("no bias correction of the first",),
    ),
    Fault(
        "no correction of v",
        "adam",
        {"no_correction_v": True},
        "optax.adam",
        ("no bias correction of the second",),
    ),
    Fault(
        "no correction",
        "adam",
        {"no_correction_m": True, "no_correction_v": True},
        "optax.adam",
        ("no bias correction of the first", "no bias correction of the second"),
    ),
    Fault(
        "state dropped",
        "adam",
        {"dropped": ("m", "v"), "count_dropped": True},
        "optax.adam",
        ("all state is dropped by save and load",),
    ),
    Fault(
        "count reset",
        "adam",
        {"count_dropped": True},
        "optax.adam",
        ("counter starts again after save",),
    ),
    Fault(
        "moments dropped",
        "adam",
        {"dropped": ("m", "v")},
        "optax.adam",
        ("moments are dropped by save",),
    ),
    Fault(
        "m dropped", "adam", {"dropped": ("m",)}, "optax.adam", ("first moment is dropped by save",)
    ),
    Fault(
        "v dropped",
        "adam",
        {"dropped": ("v",)},
        "optax.adam",
        ("second moment is dropped by save",),
    ),
    Fault(
        "m and v exchanged",
        "adam",
        {"exchanged": True},
        "optax.adam",
        ("exchange the first and the second",),
    ),
    Fault("velocity dropped", "sgd", {**_MU, "dropped": ("m",)}, "torch.sgd", ("dropped by save",)),
    Fault(
        "decay's sign",
        "adam",
        {**_W, "decay_sign": True},
        "optax.adamw",
        ("wrong sign",),
        {"weight_decay": -0.1},
    ),
    Fault(
        "coupled for decoupled",
        "adam",
        {**_W, "coupled": True},
        "torch.adamw",
        ("decay is coupled",),
    ),
    Fault("decoupled for coupled", "adam", _W, "torch.adam", ("decay is decoupled",)),
    Fault(
        "decay without the rate",
        "adam",
        {**_W, "decay_alone": True},
        "optax.adamw",
        ("not multiplied by the learning rate",),
    ),
    Fault(
        "decay after the step",
        "adam",
        {**_W, "decay_after": True},
        "torch.adamw",
        ("after the step",),
        {"weight_decay": 0.1},
    ),
    Fault("ε inside", "adam", {"eps": "inside"}, "torch.adam", ("ε stands inside",)),
    Fault(
        "ε before the correction",
        "adam",
        {"eps": "before"},
        "optax.adam",
        ("before the bias correction",),
    ),
    Fault("ε missing", "adam", {"eps": "missing"}, "optax.adam", ("no ε",)),
    Fault(
        "RMSProp's ε inside", "rmsprop", {"eps": "inside"}, "torch.rmsprop", ("ε stands inside",)
    ),
    Fault("maximum before", "adam", {"amsgrad": "before"}, "optax.amsgrad", ("taken before",)),
    Fault("maximum after", "adam", {"amsgrad": "after"}, "torch.adam", ("taken after",)),
    Fault("first step dampened", "sgd", {**_MU, "dampening": 0.5}, "torch.sgd", ("0.5 times",)),
    Fault(
        "average starts undampened",
        "sgd",
        {**_MU, "dampening": 0.9, "undamped_start": True},
        "notes.momentum",
        ("not at the first step",),
        {"dampening": 0.9},
    ),
    Fault(
        "velocity scaled by 1 − β",
        "sgd",
        {**_MU, "dampening": 0.9},
        "torch.sgd",
        ("scaled by 1 − β1",),
    ),
    Fault(
        "Nesterov looks back",
        "sgd",
        {**_MU, "nesterov": "late"},
        "torch.sgd",
        ("SGD with momentum",),
    ),
    Fault(
        "Nesterov a step late",
        "sgd",
        {**_MU, "nesterov": True, "step_late": True},
        "torch.sgd",
        ("the step before",),
    ),
    Fault(
        "rate inside for outside",
        "sgd",
        {**_MU, "rate_inside": True},
        "torch.sgd",
        ("rate is inside",),
    ),
    Fault(
        "rate outside for inside",
        "rmsprop",
        {**_MU, "eps": "inside"},
        "keras.rmsprop",
        ("rate is outside",),
    ),
    Fault("rate one step late", "adam", {"rate_late": True}, "optax.adam", ("one step late",)),
    Fault("rate ignored", "adam", {"rate_ignored": True}, "optax.adam", ("changes nothing",)),
    Fault(
        "sum starts from 0.1",
        "adagrad",
        {"starts_from": 0.1},
        "notes.adagrad",
        ("starts from another value",),
        {"initial_accumulator_value": 0.1},
    ),
    Fault(
        "average starts from 1",
        "rmsprop",
        {"starts_from": 1.0},
        "torch.rmsprop",
        ("starts from another value",),
        {"initial_scale": 1.0},
    ),
    Fault("climbs", "adam", {"climbs": True}, "optax.adam", ("climbs",)),
    Fault(
        "norm clipped per array",
        "sgd",
        {"clip_each": 1.0},
        "torch.sgd",
        ("norm of each array",),
        {"max_norm": 1.0},
    ),
)
