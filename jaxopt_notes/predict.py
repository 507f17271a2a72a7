"""`python -m jaxopt_notes.predict`: classifies picture files with a trained network."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes.command import OneLineParser, add_run, exit_code, run_as_process
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require
from jaxopt_notes.runtime import start

# Data sets of digits in MNIST's layout. (EMNIST's are turned on their side.)
CENTRED = ("auto", "mnist", "mnist-12k")


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.predict",
        description="Classify PNG or JPEG files with a trained network.",
    )
    parser.usage = "%(prog)s --run DIR [options] [FILE ...]"
    add_run(parser)
    parser.add_argument("files", nargs="*", metavar="FILE", help="pictures of any size")
    parser.add_argument(
        "--split", choices=("test",), help="instead of files: the run's own test set"
    )
    parser.add_argument(
        "--ink",
        choices=("dark", "light"),
        help="dark on light or light on dark (default: by the border for digits, else as trained)",
    )
    parser.add_argument(
        "--centre",
        action=argparse.BooleanOptionalAction,
        help="centre each digit as in MNIST (default: if the run was trained on MNIST)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; its exit code: 0, 2 for a mistake or a file that is no picture, 130."""
    return exit_code(lambda: _predict(build_parser().parse_args(argv)))


def _predict(args: argparse.Namespace) -> int:
    if bool(args.files) == bool(args.split):
        both = "files and --split test: pass one of them"
        raise InputError(both if args.files else "pass files, or --split test")

    require("predict", "train")
    start.import_jax()
    start.devices()
    from jaxopt_notes.inference.trained import load_trained
    from jaxopt_notes.runs.checkpoint import silence_orbax
    from jaxopt_notes.runtime.compilation import keep_compiled

    silence_orbax()
    trained = load_trained(args.run, args.which)
    keep_compiled(trained.config.program_folder)
    return _split(args, trained) if args.split else _files(args, trained)


def _files(args: argparse.Namespace, trained: Any) -> int:
    import numpy as np

    from jaxopt_notes.data import image_files
    from jaxopt_notes.inference import images
    from jaxopt_notes.inference.prediction import probabilities

    style = _style(args, trained)
    pictures: dict[str, images.Picture] = {}
    broken = False
    for name in args.files:
        try:
            pictures[name] = images.read(Path(name), style, args.ink)
        except image_files.PictureError as error:
            print(f"error: {error}", file=sys.stderr)
            broken = True
    if pictures:
        pixels = np.array([picture.pixels for picture in pictures.values()], np.uint8)
        rows = _rows(trained, probabilities(trained, pixels))
        for (name, picture), row in zip(pictures.items(), rows):
            row |= {"file": name, "ink": picture.ink}
        _print(rows, args.json, ("file", "class", "probability"))
    return 2 if broken else 0


def _style(args: argparse.Namespace, trained: Any) -> Any:
    from jaxopt_notes.inference.images import Style
    from jaxopt_notes.inference.mnist_layout import FIELD

    centred = args.centre
    if centred is None:
        centred = trained.config.dataset.split(":")[0] in CENTRED
    if centred and trained.image_shape != (FIELD, FIELD, 1):
        shape = "×".join(map(str, trained.image_shape))
        raise InputError(
            f"--centre: the run was trained on {shape} images, MNIST's are 28×28×1; leave it out"
        )
    mean = trained.normalize.mean
    # Most of a picture is background.
    return Style(trained.image_shape, centred, dark_ink=sum(mean) / len(mean) > 0.5)


def _split(args: argparse.Namespace, trained: Any) -> int:
    from jaxopt_notes.data import load
    from jaxopt_notes.inference.prediction import probabilities
    from jaxopt_notes.runs import info, report

    config = trained.config
    data = load(config.dataset, config.data_dir, config.image_size)
    fingerprint = info.read(args.run, "--run").data.fingerprint
    if (report.fingerprint(data), data.class_names) != (fingerprint, trained.class_names):
        raise InputError(
            f"--split test: {data.name} has changed since {args.run} was trained on it; "
            "restore the data set, or pass files"
        )
    rows = _rows(trained, probabilities(trained, data.test_images))
    right = 0
    for i, (row, label) in enumerate(zip(rows, data.test_labels)):
        row |= {"file": f"test[{i}]", "true": data.class_names[label]}
        right += row["class"] == row["true"]
    _print(rows, args.json, ("file", "class", "probability", "true"))
    accuracy = right / len(rows)
    total = {"split": "test", "accuracy": accuracy, "right": right, "examples": len(rows)}
    print(json.dumps(total) if args.json else f"{accuracy:.2%} of {len(rows):,} right")
    return 0


def _rows(trained: Any, probabilities: Any) -> list[dict[str, Any]]:
    names = trained.class_names
    return [
        {
            "file": "",
            "class": names[row.argmax()],
            "probability": float(row.max()),
            "probabilities": dict(zip(names, map(float, row))),
        }
        for row in probabilities
    ]


def _print(rows: Sequence[dict[str, Any]], as_json: bool, columns: Sequence[str]) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    cells = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2%}"
    return value if value.isprintable() else repr(value)


if __name__ == "__main__":
    run_as_process(main)
