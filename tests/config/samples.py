"""For each setting an option that changes it, and a `config.json` of an earlier version."""

from typing import Any, NamedTuple

from jaxopt_notes.config.kinds import Interval


class Sample(NamedTuple):
    """An option with the value that it stands for, and the options that it needs beside it."""

    options: tuple[str, ...]
    value: Any
    base: tuple[str, ...] = ()


def _of(options: str, value: Any, base: str = "") -> Sample:
    return Sample(tuple(options.split()), value, tuple(base.split()))


RMSPROP, ADAM, SGD = ("--optimizer rmsprop", "--optimizer adam", "--optimizer sgd")
SWITCH = "--optimizer adam-to-sgd"

SAMPLES = {
    "model": _of("--model mlp", "mlp"),
    "pooling": _of("--pooling average", "average"),
    "widths": _of("--widths 32,16", (32, 16), "--model mlp"),
    "norm": _of("--norm batch", "batch"),
    "activation": _of("--activation gelu", "gelu"),
    "dropout": _of("--dropout 0.1", 0.1),
    "init": _of("--init torch", "torch"),
    "optimizer": _of("--optimizer sgd", "sgd"),
    "momentum": _of("--momentum 0.5", 0.5, SGD),
    "nesterov": _of("--nesterov", True, SGD),
    "beta": _of("--beta 0.5", 0.5, "--optimizer momentum"),
    "decay": _of("--decay 0.5", 0.5, RMSPROP),
    "b1": _of("--b1 0.5", 0.5),
    "b2": _of("--b2 0.5", 0.5, ADAM),
    "eps": _of("--eps 1e-6", 1e-6),
    "eps_root": _of("--eps-root 1e-6", 1e-6),
    "eps_in_sqrt": _of("--no-eps-in-sqrt", False, "--optimizer adagrad"),
    "initial_accumulator_value": _of("--initial-accumulator-value 0.2", 0.2, "--optimizer adagrad"),
    "initial_scale": _of("--initial-scale 1", 1.0, RMSPROP),
    "centered": _of("--centered", True, RMSPROP),
    "bias_correction": _of("--bias-correction", True, RMSPROP),
    "bias_correction_mu": _of("--no-bias-correction-mu", False, "--optimizer amsgrad"),
    "bias_correction_nu": _of("--no-bias-correction-nu", False, "--optimizer amsgrad"),
    "weight_decay": _of("--weight-decay 0.1", 0.1, "--optimizer adamw"),
    "mu_dtype": _of("--mu-dtype bfloat16", "bfloat16"),
    "accumulator_dtype": _of("--accumulator-dtype BFloat16", "bfloat16", SGD),
    "carry": _of("--carry plain", "plain", SWITCH),
    "sgd_learning_rate": _of("--sgd-learning-rate 0.1", 0.1, SWITCH),
    "switch_eps": _of("--switch-eps 0.1", 0.1, f"{SWITCH} --switch-at auto"),
    "learning_rate": _of("--learning-rate 0.002", 0.002),
    "schedule": _of("--schedule cosine", "cosine"),
    "warmup": _of("--warmup 0.1", 0.1),
    "switch_at": _of("--switch-at 0.5", 0.5, SWITCH),
    "shift": _of("--shift 0", 0),
    "label_smoothing": _of("--label-smoothing 0.1", 0.1),
    "epochs": _of("--epochs 7", 7),
    "batch_size": _of("--batch-size 32", 32),
    "seed": _of("--seed 1", 1),
    "dataset": _of("--dataset mnist", "mnist"),
    "data_dir": _of("--data-dir there", "there"),
    "image_size": _of("--image-size 28x32", (28, 32)),
    "follow_links": _of("--follow-links", True),
    "out": _of("--out elsewhere", "elsewhere"),
    "compilation_cache": _of("--compilation-cache off", "off"),
    "clip_norm": _of("--clip-norm 1", 1.0),
    "ema": _of("--ema 0.9", 0.9),
    "patience": _of("--patience 3", 3),
    "on_nonfinite": _of("--on-nonfinite skip", "skip"),
    "checkpoint_every": _of("--checkpoint-every 5m", Interval(seconds=300)),
    "keep": _of("--keep 3", 3),
    "tensorboard": _of("--tensorboard", True),
    "watch": _of("--watch", True),
    "profile": _of("--profile", True),
    "mesh": _of("--mesh data=2", 2),
    "shard_optimizer_state": _of("--shard-optimizer-state", True),
}

# As the version before the table of settings wrote it: a setting that nobody chose is null.
OLD_CONFIG = {
    "model": "mlp",
    "pooling": None,
    "widths": [128, 64],
    "norm": "batch",
    "activation": "relu",
    "dropout": 0.1,
    "optimizer": "adam-to-sgd",
    "hyperparameters": {"carry": "momentum", "sgd_learning_rate": 0.05},
    "learning_rate": 0.003,
    "schedule": "one-cycle",
    "warmup": None,
    "switch_at": "0.7",
    "shift": 2,
    "epochs": 2,
    "batch_size": 64,
    "seed": 0,
    "dataset": "mnist-12k",
    "data_dir": None,
    "image_size": "28x32",
    "out": "run",
    "compilation_cache": "/home/user/.cache/jaxopt_notes",
    "clip_norm": 1.0,
    "ema": 0.9,
    "patience": None,
    "on_nonfinite": "stop",
    "checkpoint_every": "5m",
    "keep": 2,
    "tensorboard": False,
    "profile": False,
    "mesh": "data=2",
    "shard_optimizer_state": False,
}

# The values of later settings when a run of that version is resumed.
SINCE = {"follow_links": False, "watch": False, "init": "he", "label_smoothing": 0.0}
