"""Errors that the proof must see, every one: the proof that the proof can fail.

A mutant replaces names in our modules while an optimizer is built and run, so what is judged is the
code that users run, with one error in it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any, NamedTuple
from unittest.mock import patch

from jaxopt_notes.optimizers._momentum import moving_average
from jaxopt_notes.verification import wrong
from jaxopt_notes.verification.settings import Setting, named


class Mutant(NamedTuple):
    """One error.

    Attributes:
      setting: the optimizer that has it, and how it is run.
      error: what is wrong, in a few words.
      patches: module.name of what is replaced, and by what.
    """

    setting: Setting
    error: str
    patches: dict[str, Any]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The error stands in the code."""
        with ExitStack() as stack:
            for target, replacement in self.patches.items():
                module, name = target.rsplit(".", 1)
                home = import_module(f"jaxopt_notes.{module}")
                stack.enter_context(patch.object(home, name, replacement))
            yield


_NOTHING: dict[str, Any] = {}
_MOMENTUM = {"momentum": 0.9}
_NESTEROV = {"momentum": 0.9, "nesterov": True}
_EPS = {"eps": 1e-3}
_LAMBDA = {"weight_decay": 0.1}
_CORRECTION = "optimizers.moments.correction"

# book.optimizer: (error, keywords, what is replaced, by what)
_ERRORS: dict[str, list[tuple[str, dict[str, Any], str, Any]]] = {
    "optax.sgd": [
        ("climbs", _NOTHING, "optimizers._momentum.scale_by_learning_rate", wrong.climbing),
        ("momentum ignored", _MOMENTUM, "optimizers._momentum.trace", wrong.nothing),
        (
            "moving average for heavy ball",
            _MOMENTUM,
            "optimizers._momentum.heavy_ball",
            moving_average,
        ),
        ("push decayed", _MOMENTUM, "optimizers._momentum.heavy_ball", wrong.push_decayed),
        ("Nesterov ignored", _NESTEROV, "optimizers._momentum.trace", wrong.not_nesterov),
    ],
    "optax.momentum": [
        (
            "heavy ball for moving average",
            _NOTHING,
            "optimizers._momentum.moving_average",
            wrong.push_not_weighted,
        ),
        ("bias corrected", _NOTHING, "optimizers._momentum.ema", wrong.debiased),
        (
            "weights swapped",
            _NOTHING,
            "optimizers._momentum.moving_average",
            wrong.weights_swapped,
        ),
    ],
    "optax.adagrad": [
        ("ε outside the root", _EPS, "optimizers._adagrad.over_root", wrong.root_swapped),
        ("ε ignored", _EPS, "optimizers._adagrad.over_root", wrong.no_eps),
        ("no root", _NOTHING, "optimizers._adagrad.over_root", wrong.no_root),
        ("accumulator from 0", _NOTHING, "optimizers._adagrad.Slot", wrong.from_zero),
        (
            "average for sum",
            _NOTHING,
            "optimizers._adagrad.sum_of_squares",
            wrong.average_of_squares,
        ),
    ],
    "optax.rmsprop": [
        ("ε outside the root", _NOTHING, "optimizers._rmsprop.over_root", wrong.root_swapped),
        ("sum for average", _NOTHING, "optimizers._rmsprop.mean_square", wrong.sum_of_squares),
        (
            "centring ignored",
            {"centered": True, **_EPS},
            "optimizers._rmsprop.over_deviation",
            wrong.not_centred,
        ),
        ("momentum ignored", _MOMENTUM, "optimizers._rmsprop.trace", wrong.nothing),
        ("moving average for heavy ball", _MOMENTUM, "optimizers._rmsprop.trace", wrong.averaging),
        ("Nesterov ignored", _NESTEROV, "optimizers._rmsprop.trace", wrong.not_nesterov),
        ("average from 0", {"initial_scale": 0.5}, "optimizers._rmsprop.Slot", wrong.from_zero),
        ("no bias correction", {"bias_correction": True}, _CORRECTION, wrong.no_correction),
    ],
    "optax.adam": [
        ("no bias correction", _NOTHING, _CORRECTION, wrong.no_correction),
        ("correction a step late", _NOTHING, _CORRECTION, wrong.correction_a_step_late),
        ("ε inside the root", _NOTHING, "optimizers._adam.direction", wrong.eps_inside),
        ("ε before the correction", _NOTHING, "optimizers._adam.scale_by_adam", wrong.eps_hat),
        ("ε_root ignored", {"eps_root": 1e-4}, "optimizers._adam.direction", wrong.no_eps_root),
        (
            "β1 and β2 swapped",
            _NOTHING,
            "optimizers._adam.first_and_second_moment",
            wrong.moments_swapped,
        ),
        (
            "heavy ball for moving average",
            _NOTHING,
            "optimizers._adam.first_and_second_moment",
            wrong.moments_heavy,
        ),
        (
            "variance for square",
            _NOTHING,
            "optimizers._adam.first_and_second_moment",
            wrong.moments_centred,
        ),
        (
            "Nesterov ignored",
            {"nesterov": True},
            "optimizers._adam.nesterov_direction",
            wrong.not_ahead,
        ),
    ],
    "optax.adamw": [
        ("decay ignored", _LAMBDA, "optimizers._adam.add_decayed_weights", wrong.nothing),
        ("decay grows", _LAMBDA, "optimizers._adam.add_decayed_weights", wrong.growing),
        ("no bias correction", _LAMBDA, _CORRECTION, wrong.no_correction),
        ("ε inside the root", _LAMBDA, "optimizers._adam.direction", wrong.eps_inside),
    ],
    "notes.adagrad": [
        ("ε inside the root", _NOTHING, "optimizers._adagrad.over_root", wrong.root_swapped),
    ],
    "torch.sgd": [
        (
            "first step dampened",
            {**_MOMENTUM, "dampening": 0.5},
            "conventions.torch.dampened",
            wrong.always_dampened,
        ),
        ("maximize ignored", {"maximize": True}, "conventions.torch.ascend", wrong.nothing),
    ],
    "torch.adagrad": [
        ("decay ignored", _LAMBDA, "conventions.torch.add_decayed_weights", wrong.nothing),
    ],
    "torch.rmsprop": [
        ("ε inside the root", _NOTHING, "optimizers._rmsprop.over_root", wrong.root_swapped),
    ],
    "torch.adam": [
        (
            "maximum after the correction",
            {"amsgrad": True},
            "conventions.torch.scale_by_adam_form",
            wrong.largest_corrected,
        ),
        (
            "maximum forgotten",
            {"amsgrad": True},
            "optimizers._adam_forms.moments_and_largest",
            wrong.largest_forgotten,
        ),
    ],
    "torch.adamw": [
        ("decay not times the rate", _LAMBDA, "conventions.torch.shrunk", wrong.unscaled),
    ],
    "keras.adam": [
        (
            "ε after the correction",
            _NOTHING,
            "conventions.keras.scale_by_adam_form",
            wrong.no_eps_hat,
        ),
    ],
    "keras.adamw": [
        ("decay not times the rate", _LAMBDA, "conventions.keras.decay_beside", wrong.unscaled),
    ],
    "tensorflow1.rmsprop": [
        ("average from 0", _NOTHING, "optimizers._rmsprop.Slot", wrong.from_zero),
    ],
    "tensorflow1.adamw": [
        (
            "decay times the rate",
            _LAMBDA,
            "optimizers.add_decayed_weights",
            wrong.scaled,
        ),
    ],
}


def mutants() -> list[Mutant]:
    """All of them."""
    found = [
        Mutant(named(name, keywords), error, {target: replacement})
        for name, rows in _ERRORS.items()
        for error, keywords, target, replacement in rows
    ]
    through = {
        "optimizers._adam.scale_by_adam": wrong.coupled(0.1),
        "optimizers._adam.add_decayed_weights": wrong.nothing,
    }
    outside = {
        "conventions.keras.scale_by_learning_rate": wrong.velocity_before_rate(0.9),
        "optimizers.trace": wrong.nothing,
    }
    return [
        *found,
        Mutant(named("optax.adamw", _LAMBDA), "decay through the moments", through),
        Mutant(named("keras.sgd", _MOMENTUM), "rate outside the velocity", outside),
    ]
