"""The optimizers of `train` and `verify`: one row for each. Needs no JAX."""

from typing import Any, NamedTuple


class Optimizer(NamedTuple):
    """An optimizer that a run can use and that `verify` checks against its source.

    Attributes:
      learning_rate: the default; chosen on 2,400 validation images from mnist-12k's training set.
      hyperparameters: the other arguments that a run may set; each has a row in the settings.
      proved: the arguments with which `verify` and the tests of equality check the optimizer,
        including the defaults ({}); empty for an optimizer without a counterpart.
      gap_learning_rate: the default with `--pooling gap`, if it differs: a global average leaves
        ten times fewer parameters, each with a smaller gradient.
    """

    learning_rate: float
    hyperparameters: tuple[str, ...]
    proved: tuple[dict[str, Any], ...] = ()
    gap_learning_rate: float | None = None


SWITCHING = "adam-to-sgd"
_ADAM = ("b1", "b2", "eps", "eps_root", "mu_dtype")
_RMSPROP = ("decay", "eps", "initial_scale", "eps_in_sqrt", "centered", "momentum", "nesterov")
_SWITCH = ("carry", "sgd_learning_rate", "switch_eps")
_OTHER_BETAS = {"b1": 0.8, "b2": 0.99, "eps": 1e-3}

# The public function of an optimizer has the optimizer's name, with _ in place of -.
OPTIMIZERS = {
    "sgd": Optimizer(
        0.1,
        ("momentum", "nesterov", "accumulator_dtype"),
        ({}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}),
    ),
    "momentum": Optimizer(0.1, ("beta", "accumulator_dtype"), ({}, {"beta": 0.99})),
    "adagrad": Optimizer(
        0.02,
        ("initial_accumulator_value", "eps", "eps_in_sqrt"),
        (
            {},
            {"initial_accumulator_value": 0.0, "eps": 1e-3},
            {"initial_accumulator_value": 0.0, "eps": 1e-8, "eps_in_sqrt": False},
        ),
    ),
    "rmsprop": Optimizer(
        0.001,
        (*_RMSPROP, "bias_correction"),
        (
            {},
            {"decay": 0.8, "eps": 1e-3, "centered": True, "momentum": 0.9},
            {"eps": 1e-3, "eps_in_sqrt": False, "initial_scale": 0.5},
            {"momentum": 0.9, "nesterov": True, "eps": 1e-3},
            # Not both centred and debiased: then the first step is NaN, in optax too, because m̂²
            # rounds above Ê.
            {"bias_correction": True},
        ),
    ),
    "adam": Optimizer(
        0.003,
        (*_ADAM, "nesterov"),
        ({}, _OTHER_BETAS, {"eps": 1e-4, "eps_root": 1e-4}, {"nesterov": True}),
        gap_learning_rate=0.03,
    ),
    "nadam": Optimizer(
        0.003,
        (*_ADAM, "nesterov"),
        ({}, {**_OTHER_BETAS, "eps_root": 1e-4}),
        gap_learning_rate=0.03,
    ),
    "amsgrad": Optimizer(
        0.003,
        (*_ADAM, "bias_correction_mu", "bias_correction_nu"),
        ({}, _OTHER_BETAS, {"bias_correction_mu": False, "bias_correction_nu": False}),
        gap_learning_rate=0.03,
    ),
    "adamw": Optimizer(
        0.003,
        (*_ADAM, "weight_decay", "nesterov"),
        ({}, {"weight_decay": 0.1, "eps": 1e-3}, {"nesterov": True}),
        gap_learning_rate=0.03,
    ),
    "lion": Optimizer(
        0.0003,
        ("b1", "b2", "mu_dtype", "weight_decay"),
        ({}, {"b1": 0.5, "b2": 0.9, "weight_decay": 0.1}),
        gap_learning_rate=0.003,
    ),
    SWITCHING: Optimizer(0.003, (*_ADAM, "momentum", "accumulator_dtype", *_SWITCH)),
}
