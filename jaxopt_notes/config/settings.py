"""What a run is made of, and what each option may be. Needs neither JAX nor optax.

The optimizers' hyper-parameters have no defaults here: what is not given is left to the optimizer.
"""

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jaxopt_notes.errors import InputError
from jaxopt_notes.runtime.processes import mesh_size

MODELS = ("cnn", "mlp")
POOLINGS = ("max", "average", "stride", "gap")
NORMS = ("none", "batch")
ACTIVATIONS = ("relu", "sigmoid", "tanh", "gelu")
WIDTHS = (128, 64)  # the notes' dense network

ON_NONFINITE = ("stop", "skip", "save")
SCHEDULES = ("constant", "cosine", "one-cycle")

# optimizer: the hyper-parameters it takes beside the learning rate, by its argument names
OPTIMIZERS: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum", "nesterov", "accumulator_dtype"),
    "momentum": ("beta", "accumulator_dtype"),
    "adagrad": ("initial_accumulator_value", "eps", "eps_in_sqrt"),
    "rmsprop": (
        "decay",
        "eps",
        "initial_scale",
        "eps_in_sqrt",
        "centered",
        "momentum",
        "nesterov",
        "bias_correction",
    ),
    "adam": ("b1", "b2", "eps", "eps_root", "mu_dtype", "nesterov"),
    "adamw": ("b1", "b2", "eps", "eps_root", "mu_dtype", "weight_decay", "nesterov"),
    "adam-to-sgd": (
        "carry",
        "sgd_learning_rate",
        "momentum",
        "b1",
        "b2",
        "eps",
        "eps_root",
        "mu_dtype",
        "accumulator_dtype",
        "switch_eps",
    ),
}
SWITCHING = "adam-to-sgd"
AUTO = "auto"
OFF = "off"
CARRIES = ("plain", "momentum", "swats")

# hyper-parameter: its type and what it is
HYPERPARAMETERS: dict[str, tuple[type, str]] = {
    "momentum": (float, "heavy-ball β"),
    "nesterov": (bool, "Nesterov's form"),
    "beta": (float, "β of the moving average"),
    "decay": (float, "β of the average of squares"),
    "b1": (float, "β1 of the first moment"),
    "b2": (float, "β2 of the second moment"),
    "eps": (float, "ε in the denominator"),
    "eps_root": (float, "ε inside the root"),
    "eps_in_sqrt": (bool, "ε inside the root rather than outside"),
    "initial_accumulator_value": (float, "where the sum of squares starts"),
    "initial_scale": (float, "where the average of squares starts"),
    "centered": (bool, "divide by the standard deviation"),
    "bias_correction": (bool, "divide the averages by 1 − β^t"),
    "weight_decay": (float, "decoupled decay λ"),
    "mu_dtype": (str, "dtype of the first moment"),
    "accumulator_dtype": (str, "dtype of the velocity"),
    "carry": (str, f"what SGD takes over: {', '.join(CARRIES)}"),
    "sgd_learning_rate": (float, "SGD's largest rate"),
    "switch_eps": (float, "SWATS switches where its two rates are closer than this"),
}

# Chosen on a fifth of mnist-12k's training images kept aside.
LEARNING_RATES = {
    "sgd": 0.1,
    "momentum": 0.1,
    "adagrad": 0.02,
    "rmsprop": 0.001,
    "adam": 0.003,
    "adamw": 0.003,
    "adam-to-sgd": 0.003,
}


# A global average leaves ten times fewer parameters, each with a smaller gradient.
GAP_LEARNING_RATES = LEARNING_RATES | {"adam": 0.03, "adamw": 0.03}


@dataclass(frozen=True)
class Config:
    """A run's settings; None leaves the choice to `resolved`."""

    model: str = "cnn"
    pooling: str | None = None  # of the cnn
    widths: tuple[int, ...] | None = None  # of the mlp
    norm: str = "none"
    activation: str = "relu"
    dropout: float = 0.0
    optimizer: str = "adam"
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    learning_rate: float | None = None
    schedule: str = "one-cycle"
    warmup: float | None = None
    switch_at: str | None = None
    shift: int = 2
    epochs: int | None = None
    batch_size: int = 64
    seed: int = 0
    dataset: str = "auto"
    data_dir: str | None = None
    image_size: str | None = None
    out: str | None = None
    compilation_cache: str | None = None
    clip_norm: float | None = None
    ema: float | None = None
    patience: int | None = None
    on_nonfinite: str = "stop"
    checkpoint_every: str | None = None
    keep: int = 2
    tensorboard: bool = False
    profile: bool = False
    mesh: str | None = None
    shard_optimizer_state: bool = False


def validate(config: Config) -> None:
    """Checks what can be known before anything is loaded.

    Raises:
      InputError: one line that names the option, its value and the remedy.
    """
    _one_of("optimizer", config.optimizer, tuple(OPTIMIZERS))
    _one_of("schedule", config.schedule, SCHEDULES)
    for name in config.hyperparameters:
        if name not in OPTIMIZERS[config.optimizer]:
            takes = ", ".join(map(option, OPTIMIZERS[config.optimizer]))
            raise InputError(
                f"{option(name)}: {config.optimizer} does not take it; it takes {takes}"
            )
    rate = config.learning_rate
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise InputError(f"--learning-rate {rate}: give a positive number, such as 0.001")
    if config.warmup is not None and not 0 <= config.warmup < 1:
        raise InputError(f"--warmup {config.warmup}: give a share of the run, from 0 to below 1")
    if config.epochs is not None and config.epochs < 1:
        raise InputError(f"--epochs {config.epochs}: give a whole number from 1")
    if config.shift < 0:
        raise InputError(f"--shift {config.shift}: give a whole number of pixels from 0")
    if config.batch_size < 1:
        raise InputError(f"--batch-size {config.batch_size}: give a whole number from 1")
    if not 0 <= config.seed < 2**32:
        raise InputError(f"--seed {config.seed}: give a whole number from 0 to 2**32 - 1")
    image_size(config.image_size)
    mesh_size(config.mesh)
    _check_guards(config)
    _check_network(config)
    _check_hyperparameters(config.hyperparameters)
    _check_switch(config)


def _check_guards(config: Config) -> None:
    _one_of("on_nonfinite", config.on_nonfinite, ON_NONFINITE)
    if config.clip_norm is not None and not 0 < config.clip_norm < math.inf:
        raise InputError(f"--clip-norm {config.clip_norm}: give a positive number, such as 1")
    if config.ema is not None and not 0 < config.ema < 1:
        raise InputError(f"--ema {config.ema}: give a number above 0 and below 1, such as 0.999")
    if config.patience is not None and config.patience < 1:
        raise InputError(f"--patience {config.patience}: give a whole number of epochs from 1")
    if config.keep < 1:
        raise InputError(f"--keep {config.keep}: give a whole number from 1")
    interval(config.checkpoint_every)


class Interval(NamedTuple):
    """How often checkpoints are written within an epoch; both None where they are not."""

    steps: int | None = None
    seconds: float | None = None


def interval(text: str | None) -> Interval:
    """How often: "500" steps, "30s", "5m" or "1h"; neither from None and from "off".

    Raises:
      InputError: the text is none of these.

    >>> interval("500"), interval("5m")
    (Interval(steps=500, seconds=None), Interval(steps=None, seconds=300.0))
    """
    if text in (None, OFF):
        return Interval()
    found = re.fullmatch(r"([1-9]\d{0,8})([smh]?)", text or "", re.ASCII)
    if not found:
        raise InputError(
            f"--checkpoint-every {text}: give a number of steps, a time such as 30s, 5m or 1h, or "
            f"{OFF}"
        )
    number, unit = int(found[1]), found[2]
    if not unit:
        return Interval(steps=number)
    return Interval(seconds=float(number * {"s": 1, "m": 60, "h": 3600}[unit]))


def _check_network(config: Config) -> None:
    _one_of("model", config.model, MODELS)
    _one_of("norm", config.norm, NORMS)
    _one_of("activation", config.activation, ACTIVATIONS)
    if config.pooling is not None:
        _one_of("pooling", config.pooling, POOLINGS)
        if config.model != "cnn":
            raise InputError(f"--pooling {config.pooling}: --model {config.model} has no pools")
    if config.widths is not None:
        shown = f"--widths {','.join(map(str, config.widths))}"
        if config.model != "mlp":
            raise InputError(f"{shown}: only --model mlp takes it")
        if not config.widths or min(config.widths) < 1:
            raise InputError(f"{shown}: give whole numbers from 1, such as 128,64")
    if not 0 <= config.dropout < 1:
        raise InputError(f"--dropout {config.dropout}: give a share from 0 to below 1")
    if config.norm == "batch" and config.batch_size == 1:
        raise InputError("--norm batch: one image has no variance; give a --batch-size from 2")


def _check_hyperparameters(given: dict[str, Any]) -> None:
    for name in ("momentum", "beta", "decay", "b1", "b2"):
        if name in given and not 0 <= given[name] < 1:
            raise InputError(f"{option(name)} {given[name]}: give a number from 0 to below 1")
    not_negative = ("eps", "eps_root", "initial_accumulator_value", "initial_scale")
    for name in (*not_negative, "weight_decay", "switch_eps"):
        if name in given and not 0 <= given[name] < math.inf:
            raise InputError(f"{option(name)} {given[name]}: give a number from 0")
    if not 0 < given.get("sgd_learning_rate", 1.0) < math.inf:
        rate = given["sgd_learning_rate"]
        raise InputError(f"--sgd-learning-rate {rate}: give a positive number, such as 0.05")
    for name in ("mu_dtype", "accumulator_dtype"):
        if name in given:
            _one_of(name, given[name], ("float32", "bfloat16", "float16"))
    if "carry" in given:
        _one_of("carry", given["carry"], CARRIES)


def _check_switch(config: Config) -> None:
    at, given = config.switch_at, config.hyperparameters
    if at is not None and config.optimizer != SWITCHING:
        raise InputError(f"--switch-at {at}: only --optimizer {SWITCHING} switches")
    if at not in (None, AUTO) and not _is_share(str(at)):
        raise InputError(
            f"--switch-at {at}: give {AUTO}, or a share of the run above 0 and below 1"
        )
    carry = given.get("carry", "swats" if at == AUTO else None)
    if at == AUTO and carry != "swats":
        raise InputError(f"--carry {carry}: with --switch-at {AUTO} it is swats")
    if at != AUTO and "switch_eps" in given:
        raise InputError(f"--switch-eps: needs --switch-at {AUTO}")
    if carry == "swats" and "sgd_learning_rate" in given:
        raise InputError("--sgd-learning-rate: SWATS finds it; leave it out, or --carry momentum")


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False


def image_size(text: str | None) -> tuple[int, int] | None:
    """Height and width from "28" or "28x32"; None from None.

    Raises:
      InputError: the text is neither, or a side is below 4.

    >>> image_size("28"), image_size("28x32")
    ((28, 28), (28, 32))
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text, re.ASCII)
    sides = [int(side) for side in found.groups(found[1])] if found else [0]
    if min(sides) < 4:
        raise InputError(
            f"--image-size {text}: give N or HEIGHTxWIDTH, of 4 at least, such as 28 or 28x32"
        )
    return sides[0], sides[1]


def option(name: str) -> str:
    """The command-line spelling of an argument's name."""
    return "--" + name.replace("_", "-")


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"give one of {', '.join(known)}"
        raise InputError(f"{option(name)} {value}: unknown; {hint}")


def epochs_for(examples: int) -> int:
    """The default length of a run: 150,000 images, and at least 3 times each.

    >>> epochs_for(60_000), epochs_for(10_000)
    (3, 15)
    """
    return max(3, math.ceil(150_000 / examples))
