"""`python -m jaxopt_notes.train`: trains the notes' CNN and shows how it goes."""

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes.command import OneLineParser
from jaxopt_notes.errors import InputError
from jaxopt_notes.training import folder
from jaxopt_notes.training.config import (
    ACTIVATIONS,
    HYPERPARAMETERS,
    LEARNING_RATES,
    MODELS,
    NORMS,
    OPTIMIZERS,
    POOLINGS,
    SCHEDULES,
    Config,
    option,
    validate,
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
    _add_network(parser.add_argument_group("the network"))
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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, 2 for a mistake, 130 after Ctrl-C."""
    try:
        args = build_parser().parse_args(argv)
        config = config_from(args)
        validate(config)  # before anything slow is imported
        if config.out:
            folder.refuse_used(config.out)
        if args.summary:
            return _summarize(config, as_json=args.json)
        return _train(config, quiet=args.quiet, as_json=args.json)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _summarize(config: Config, as_json: bool) -> int:
    from jaxopt_notes.models import summarize, summary_text
    from jaxopt_notes.training import run

    network = run.prepare(config).network
    rows = summarize(network)
    print(json.dumps([row._asdict() for row in rows]) if as_json else summary_text(rows))
    return 0


def _train(config: Config, quiet: bool, as_json: bool) -> int:
    from tqdm import tqdm

    from jaxopt_notes.training import evaluation, report, run
    from jaxopt_notes.training.loop import DivergedError

    def say(text: str, value: dict[str, Any]) -> None:
        if not quiet:
            tqdm.write(json.dumps(value) if as_json else text)

    ready = run.prepare(config)
    config, data = ready.config, ready.data
    out = folder.create(config.out or _default_folder(data.name, config.optimizer))
    described = report.describe(ready)
    folder.write_json(out / "config.json", described)
    say(report.header(described), {"header": described})

    rows: list[dict[str, Any]] = []
    weights = None
    total = ready.steps_per_epoch * (config.epochs or 0)
    code, problem = 0, ""
    with tqdm(total=total, unit="step", disable=quiet or as_json or None, leave=False) as bar:

        def on_stretch(steps: int, result: Any) -> None:
            bar.set_postfix(loss=f"{result.loss:.4f}", refresh=False)
            bar.update(steps - bar.n)

        try:
            for row, state in run.train(ready, on_stretch):
                weights = evaluation.keep(state)
                rows.append(row)
                folder.write_rows(out / "metrics.jsonl", rows)
                say(report.row_text(row), row)
        except KeyboardInterrupt:
            code, problem = 130, "stopped"
        except DivergedError as error:
            code = 2
            problem = (
                f"error: the loss is not finite at step {error.step}; try a smaller "
                f"--learning-rate than {config.learning_rate:g}, or a longer --warmup"
            )
    summary = report.finish(out, ready, rows, weights)
    say(summary.text, summary.value)
    if problem:
        print(problem, file=sys.stderr)
    return code


def _default_folder(dataset: str, optimizer: str) -> str:
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return str(Path("runs") / f"{dataset.replace('/', '-')}-{optimizer}-{now}")


if __name__ == "__main__":
    sys.exit(main())
