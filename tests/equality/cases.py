"""The settings in which our optimizers and optax's are compared bit for bit.

They are the settings in `jaxopt_notes.verification.settings`, each with a learning rate, and
settings that only this comparison tries: the blocks of the optimizers, numbers with a dtype,
accumulator dtypes, masks and kinds of schedules. Every test of this folder runs all of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_notes
from jaxopt_notes.verification import settings
from jaxopt_notes.verification.settings import Setting, optax_function


class ForParams(NamedTuple):
    """An argument that has to be made for the tree of parameters at hand."""

    make: Callable[[Any], Any]


class Case(NamedTuple):
    """One optimizer with one setting of its keywords."""

    optimizer: str
    keywords: dict[str, Any]
    name: str

    def ours(self, params: Any) -> optax.GradientTransformation:
        """Our optimizer with this setting."""
        return getattr(jaxopt_notes, self.optimizer)(**self._for(params))

    def optaxs(self, params: Any) -> optax.GradientTransformation:
        """optax's."""
        return optax_function(self.optimizer)(**self._for(params))

    @property
    def real_only(self) -> bool:
        """Whether an accumulator has a real dtype of its own, which cannot hold complex numbers."""
        return any(key.endswith("dtype") for key in self.keywords)

    def _for(self, params: Any) -> dict[str, Any]:
        return {
            key: value.make(params) if isinstance(value, ForParams) else value
            for key, value in self.keywords.items()
        }


RATE_SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "cosine": optax.cosine_decay_schedule(0.1, 80),
    "warm-up": optax.warmup_cosine_decay_schedule(0.0, 0.3, 10, 90),
    "steps": optax.piecewise_constant_schedule(0.1, {7: 0.5, 50: 0.1}),
    "own": lambda count: 0.1 / (1 + count),
    "constant": lambda count: 0.05,
}
DECAY_SCHEDULE = optax.linear_schedule(0.1, 0.0, 70)


def _every_other(params: Any) -> Any:
    leaves, tree = jax.tree.flatten(params)
    return tree.unflatten([i % 2 == 0 for i in range(len(leaves))])


def not_scalars(params: Any) -> Any:
    """A common mask: only arrays that have dimensions decay."""
    return jax.tree.map(lambda p: jnp.ndim(p) > 0, params)


EVERY_OTHER = ForParams(_every_other)

_TABLE: dict[str, list[dict[str, Any]]] = {
    "sgd": [
        {"learning_rate": 1},
        {"learning_rate": -0.01, "momentum": 0.9},
        {"learning_rate": 0.1, "momentum": 0.0},
        {"learning_rate": 0.1, "momentum": 0.5, "accumulator_dtype": "bfloat16"},
        {
            "learning_rate": 0.1,
            "momentum": 0.9,
            "nesterov": True,
            "accumulator_dtype": jnp.float32,
        },
        {"learning_rate": 0.1, "nesterov": True},
        {"learning_rate": RATE_SCHEDULES["cosine"], "momentum": 0.9},
        {"learning_rate": RATE_SCHEDULES["own"]},
        {"learning_rate": None, "momentum": 0.9},
    ],
    "momentum": [
        {"learning_rate": 0.1, "beta": 0.0},
        {"learning_rate": 0.1, "beta": 0.9, "accumulator_dtype": "float16"},
        {"learning_rate": jnp.float32(0.1), "beta": np.float32(0.9)},
    ],
    "adagrad": [
        {"learning_rate": 0.1, "initial_accumulator_value": 0.0, "eps": 0.0},
        {"learning_rate": 0.1, "initial_accumulator_value": 1, "eps": 1e-3},
        {"learning_rate": RATE_SCHEDULES["steps"], "eps": 1e-10},
    ],
    "rmsprop": [
        {"learning_rate": 0.1, "eps_in_sqrt": False, "eps": 0.0},
        {"learning_rate": 0.1, "momentum": 0.9},
        {"learning_rate": 0.1, "bias_correction": True, "eps_in_sqrt": False, "decay": 0.5},
        {"learning_rate": 0.1, "centered": True},
        {"learning_rate": 0.1, "centered": True, "eps_in_sqrt": False, "eps": 1e-4},
        {
            "learning_rate": RATE_SCHEDULES["cosine"],
            "decay": 0.95,
            "initial_scale": 0.5,
            "centered": True,
            "momentum": 0.8,
            "nesterov": True,
            "bias_correction": True,
        },
    ],
    "adam": [
        {"learning_rate": 0.1, "b1": 0.0},
        {"learning_rate": 0.1, "b2": 0.0, "eps": 1e-6},
        {"learning_rate": 0.1, "eps": 0.0},
        {"learning_rate": 0.1, "mu_dtype": "bfloat16"},
        {"learning_rate": 0.1, "mu_dtype": np.float32},
        {"learning_rate": 0.1, "nesterov": True, "mu_dtype": jnp.float16, "eps_root": 1e-8},
        {"learning_rate": RATE_SCHEDULES["constant"], "b1": np.float64(0.8)},
        {"learning_rate": jnp.float32(0.1), "b1": jnp.float32(0.9), "eps": jnp.float32(1e-4)},
    ],
    "nadam": [{"learning_rate": 0.1, "mu_dtype": "bfloat16"}],
    "amsgrad": [
        {"learning_rate": 0.1, "mu_dtype": "bfloat16"},
        {"learning_rate": 0.1, "bias_correction_nu": False, "eps_root": 1e-6},
        {"learning_rate": RATE_SCHEDULES["cosine"], "bias_correction_mu": False},
        {"learning_rate": jnp.float32(0.1), "b1": jnp.float32(0.9), "eps": jnp.float32(1e-4)},
    ],
    "adamw": [
        {"learning_rate": 0.1, "weight_decay": 0},
        {"learning_rate": 0.1, "weight_decay": DECAY_SCHEDULE},
        {"learning_rate": 0.1, "weight_decay": 0.1, "mask": EVERY_OTHER},
        {"learning_rate": 0.1, "weight_decay": 0.1, "mask": not_scalars},
        {"learning_rate": 0.1, "weight_decay": DECAY_SCHEDULE, "mask": not_scalars},
        {
            "learning_rate": RATE_SCHEDULES["steps"],
            "b1": 0.8,
            "b2": 0.95,
            "eps": 1e-5,
            "eps_root": 1e-7,
            "mu_dtype": "float32",
            "weight_decay": 0.5,
            "nesterov": True,
        },
    ],
    "lion": [
        {"learning_rate": 0.1, "mu_dtype": "bfloat16", "weight_decay": 0},
        {"learning_rate": 0.1, "weight_decay": DECAY_SCHEDULE, "mask": not_scalars},
        {"learning_rate": jnp.float32(0.1), "b1": jnp.float32(0.9), "b2": np.float32(0.5)},
    ],
    "trace": [
        {"decay": 0.9},
        {"decay": 0},
        {"decay": 1.0, "nesterov": True},
        {"decay": np.float32(0.5), "accumulator_dtype": jnp.bfloat16, "nesterov": True},
    ],
    "ema": [
        {"decay": 0.9},
        {"decay": 0.0},
        {"decay": 0.999, "debias": False},
        {"decay": 0.9, "accumulator_dtype": "float32"},
        {"decay": jnp.float32(0.9), "accumulator_dtype": "bfloat16"},
    ],
    "scale_by_rss": [
        {},
        {"initial_accumulator_value": 0, "eps": 0},
        {"initial_accumulator_value": 1e-3, "eps": 1.0},
    ],
    "scale_by_rms": [
        {},
        {"decay": 0.5, "eps": 0.1, "initial_scale": 2.0, "eps_in_sqrt": False},
        {"decay": 0.999, "bias_correction": True},
        {"decay": jnp.float32(0.9), "initial_scale": jnp.float32(0.5)},
    ],
    "scale_by_stddev": [
        {},
        {"decay": 0.5, "eps": 0.1, "initial_scale": 2.0, "eps_in_sqrt": False},
        {"decay": 0.999, "bias_correction": True},
        {"decay": 0.9, "bias_correction": True, "eps_in_sqrt": False, "eps": 1e-3},
    ],
    "scale_by_adam": [
        {},
        {"b1": 0.8, "b2": 0.9, "eps": 1e-2, "eps_root": 1e-2},
        {"mu_dtype": jnp.bfloat16, "nesterov": True},
        {"b1": jnp.float32(0.9), "b2": jnp.float32(0.99), "nesterov": True},
    ],
    "scale_by_amsgrad": [{}, {"b1": 0.5, "mu_dtype": jnp.bfloat16, "bias_correction_mu": False}],
    "scale_by_lion": [
        {},
        {"b1": 0.0, "b2": jnp.float32(0.9), "mu_dtype": jnp.bfloat16},
        {"mode": "smooth", "smooth_beta": 2.0},
        {"mode": "refined", "b1": 0.5},
    ],
    "scale_by_learning_rate": [
        {},
        {"learning_rate": 0.1},
        {"learning_rate": 0.1, "flip_sign": False},
        {"learning_rate": RATE_SCHEDULES["cosine"]},
        {"learning_rate": RATE_SCHEDULES["own"], "flip_sign": False},
        {"learning_rate": np.float64(0.1)},
    ],
    "add_decayed_weights": [
        {},
        {"weight_decay": 0.1},
        {"weight_decay": np.float32(0.0)},
        {"weight_decay": DECAY_SCHEDULE},
        {"weight_decay": 0.1, "mask": not_scalars},
        {"weight_decay": 0.1, "mask": False},
        {"weight_decay": DECAY_SCHEDULE, "mask": EVERY_OTHER},
    ],
}


def _shown(value: Any) -> str:
    for name, schedule in RATE_SCHEDULES.items():
        if value is schedule:
            return name
    known = {DECAY_SCHEDULE: "linear", EVERY_OTHER: "tree", not_scalars: "callable"}
    if callable(value) or isinstance(value, ForParams):
        return known.get(value) or value.__name__
    kind = "" if isinstance(value, int | float | str | None) else type(value).__name__
    return f"{kind}{value}"


def case(optimizer: str, keywords: dict[str, Any]) -> Case:
    """A case, named as one would write the call."""
    shown = ",".join(f"{key}={_shown(value)}" for key, value in keywords.items())
    return Case(optimizer, keywords, f"{optimizer}({shown})")


def case_of(setting: Setting) -> Case:
    """A setting of the proof, with a learning rate."""
    rate = RATE_SCHEDULES["warm-up"] if setting.scheduled else 0.1
    return case(setting.optimizer, {"learning_rate": rate, **setting.keywords})


PROVED = [s for s in settings.settings() if "optax" in s.oracles]
CASES = [
    *map(case_of, PROVED),
    *(case(optimizer, keywords) for optimizer, rows in _TABLE.items() for keywords in rows),
]
# The first and the last case of each optimizer.
_ENDS = [{c.optimizer: c.name for c in cases}.values() for cases in (CASES, CASES[::-1])]
FEW = {name for names in _ENDS for name in names}
# These few are among the quick tests, the rest among the slow ones.
ROWS = [pytest.param(c, id=c.name, marks=[] if c.name in FEW else pytest.mark.slow) for c in CASES]
# The optimizers with their last setting: none of them is left at its defaults.
OPTIMIZERS = {s.optimizer: s.keywords for s in PROVED}
