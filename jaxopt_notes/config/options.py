"""The options of `python -m jaxopt_notes.train`. Needs neither JAX nor optax."""

import argparse
from collections.abc import Sequence
from typing import Any

from jaxopt_notes.command import OneLineParser
from jaxopt_notes.config.settings import (
    ACTIVATIONS,
    HYPERPARAMETERS,
    LEARNING_RATES,
    MODELS,
    NORMS,
    ON_NONFINITE,
    OPTIMIZERS,
    POOLINGS,
    SCHEDULES,
    Config,
    option,
)

_METAVARS = {"mu_dtype": "DTYPE", "accumulator_dtype": "DTYPE", "carry": "NAME"}


def build_parser() -> argparse.ArgumentParser:
    """The command's options; None is left to the run or to the optimizer."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.train",
        description="Train the notes' CNN on MNIST, or on another set of small images.",
    )
    run = parser.add_argument_group("the run")
    run.add_argument(
        "--optimizer", default="adam", metavar="NAME", help=f"{', '.join(OPTIMIZERS)} (adam)"
    )
    rates = ", ".join(f"{name} {rate}" for name, rate in LEARNING_RATES.items())
    run.add_argument("--learning-rate", type=float, metavar="α", help=f"largest rate ({rates})")
    run.add_argument(
        "--schedule",
        default="one-cycle",
        metavar="NAME",
        help=f"{', '.join(SCHEDULES)} (one-cycle)",
    )
    run.add_argument(
        "--warmup", type=float, metavar="SHARE", help="share of the run (one-cycle 0.25, else 0)"
    )
    run.add_argument(
        "--switch-at",
        metavar="SHARE",
        help="adam-to-sgd: the share of the run that is Adam's; auto: SWATS decides (0.7)",
    )
    run.add_argument(
        "--epochs", type=int, metavar="N", help="(as many as show 150,000 images, and at least 3)"
    )
    run.add_argument("--batch-size", type=int, default=64, metavar="N", help="(64)")
    run.add_argument(
        "--shift", type=int, default=2, metavar="N", help="pixels that training images move (2)"
    )
    run.add_argument("--seed", type=int, default=0, metavar="N", help="(0)")
    run.add_argument(
        "--ema", type=float, metavar="β", help="average the parameters too, as with 0.999"
    )
    _add_guards(parser.add_argument_group("resuming and guarding"))
    _add_network(parser.add_argument_group("the network"))
    _add_devices(parser.add_argument_group("many devices"))
    data = parser.add_argument_group("data and output")
    data.add_argument(
        "--dataset",
        default="auto",
        metavar="NAME",
        help="auto, mnist, mnist-12k (in the package), a prepared TFDS set, or a folder of PNG or "
        "JPEG files, one folder a class (auto)",
    )
    data.add_argument("--image-size", metavar="N|HxW", help="scale a folder's pictures to this")
    data.add_argument("--data-dir", metavar="DIR", help="TFDS's folder (~/tensorflow_datasets)")
    data.add_argument("--out", metavar="DIR", help="the run's folder (runs/DATASET-OPTIMIZER-TIME)")
    data.add_argument(
        "--compilation-cache",
        metavar="DIR",
        help="where compiled programs are kept; off: nowhere (~/.cache/jaxopt_notes)",
    )
    data.add_argument(
        "--tensorboard",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="also write TensorBoard's events",
    )
    data.add_argument(
        "--profile", action="store_true", help="trace ten steps, for Perfetto to open"
    )
    data.add_argument("--quiet", action="store_true", help="print nothing but errors")
    data.add_argument("--json", action="store_true", help="print JSON lines in place of text")
    hyper = parser.add_argument_group("hyper-parameters, by default the optimizer's own")
    for name, (kind, text) in HYPERPARAMETERS.items():
        takers = ", ".join(o for o, takes in OPTIMIZERS.items() if name in takes)
        shape: dict[str, Any] = (
            {"action": argparse.BooleanOptionalAction}
            if kind is bool
            else {"type": kind, "metavar": _METAVARS.get(name, "X")}
        )
        hyper.add_argument(option(name), default=None, help=f"{text} ({takers})", **shape)
    return parser


def _add_guards(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--resume", metavar="DIR", help="go on with the run in this folder")
    group.add_argument(
        "--override", action="store_true", help="resume with other settings than the run's"
    )
    group.add_argument(
        "--checkpoint-every",
        metavar="N|TIME",
        help="also within an epoch: steps, or 30s, 5m, 1h; off: none at all (at an epoch's end, if "
        "it is the best or the last, or 3 s after the one before)",
    )
    group.add_argument(
        "--keep", type=int, default=2, metavar="N", help="newest checkpoints, beside the best (2)"
    )
    group.add_argument(
        "--on-nonfinite",
        default="stop",
        metavar="WHAT",
        help=f"{', '.join(ON_NONFINITE)}: stop the run, leave out the step, or save the state "
        "before it and stop (stop)",
    )
    group.add_argument(
        "--clip-norm", type=float, metavar="X", help="scale gradients down to this norm at most"
    )
    group.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help="stop after N epochs without a better test accuracy",
    )


def _add_network(group: argparse._ArgumentGroup) -> None:
    def names(known: Sequence[str], default: str) -> dict[str, Any]:
        return {"metavar": "NAME", "help": f"{', '.join(known)} ({default})"}

    group.add_argument("--model", default="cnn", **names(MODELS, "cnn"))
    group.add_argument("--pooling", **names(POOLINGS, "the cnn's: max"))
    group.add_argument("--widths", type=_widths, metavar="N,N", help="of the mlp (128,64)")
    group.add_argument("--norm", default="none", **names(NORMS, "none"))
    group.add_argument("--activation", default="relu", **names(ACTIVATIONS, "relu"))
    group.add_argument(
        "--dropout", type=float, default=0.0, metavar="SHARE", help="of hidden features (0)"
    )
    group.add_argument(
        "--summary", action="store_true", help="print the network layer by layer; train nothing"
    )


def _add_devices(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--mesh", metavar="data=N", help="devices that share a batch (all; of a CPU, cores)"
    )
    group.add_argument(
        "--shard-optimizer-state",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="keep only a part of the optimizer's state on each",
    )
    group.add_argument(
        "--coordinator", metavar="HOST:PORT", help="where process 0 of several is, for all alike"
    )
    group.add_argument("--processes", type=int, metavar="N", help="how many there are")
    group.add_argument("--process-id", type=int, metavar="I", help="which this is, from 0")
    group.add_argument(
        "--distributed",
        action="store_true",
        help="find these three out, as on Slurm, Open MPI, GKE and TPU pods",
    )


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give whole numbers, such as 128,64") from None


def config_from(args: argparse.Namespace) -> Config:
    """The settings that the options give."""
    given = {name: getattr(args, name) for name in HYPERPARAMETERS}
    return Config(
        hyperparameters={name: value for name, value in given.items() if value is not None},
        **{
            name: getattr(args, name)
            for name in Config.__dataclass_fields__
            if name in args and name != "hyperparameters"
        },
    )
