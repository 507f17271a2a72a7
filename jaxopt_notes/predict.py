"""`python -m jaxopt_notes.predict`: classifies picture files with a trained network."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxopt_notes.command import OneLineParser, add_run, exit_code, run_as_process
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import require
from jaxopt_notes.places import Place
from jaxopt_notes.runtime import start

if TYPE_CHECKING:
    from jaxopt_notes.inference.images import Picture

# Data sets of digits in MNIST's layout. (EMNIST's digits lie on their side.)
CENTRED = ("auto", "mnist", "mnist-12k")
# On mnist-12k's test digits, 2 % of the answers of the notes' CNN are below this probability, and
# half of its mistakes.
UNSURE = 0.7


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.predict",
        description="Classify picture files (PNG, JPEG, WebP, BMP, GIF, TIFF) with a trained "
        f"network. Answers with a probability below {UNSURE:.0%} are marked as unsure. On the "
        "test digits of mnist-12k, these are 2% of the CNN's answers and half of its mistakes.",
    )
    parser.usage = "%(prog)s --run DIR [options] [FILE ...]"
    add_run(parser)
    parser.add_argument(
        "files", nargs="*", action=Place, metavar="FILE", help="pictures of any size"
    )
    parser.add_argument(
        "--split", choices=("test",), help="instead of files: the run's own test set"
    )
    parser.add_argument(
        "--dataset",
        action=Place,
        metavar="NAME",
        help="with --split: where the run's data set is now",
    )
    parser.add_argument(
        "--data-dir",
        action=Place,
        metavar="DIR",
        help="with --split: folder of TFDS's data sets (default: the run's)",
    )
    parser.add_argument(
        "--ink",
        choices=("dark", "light"),
        help="whether the pictures are dark on light or light on dark (default: for digits, "
        "judged by the border; otherwise as in training)",
    )
    parser.add_argument(
        "--centre",
        action=argparse.BooleanOptionalAction,
        help="centre each digit as in MNIST (default: if the run was trained on MNIST)",
    )
    parser.add_argument(
        "--show",
        action=Place,
        metavar="FILE.png",
        help="draw each picture beside the network's input and its answer",
    )
    parser.add_argument(
        "--follow-links",
        action=argparse.BooleanOptionalAction,
        help="with --split test: allow links that lead out of the run's folder of pictures "
        "(default: as in training)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, 2 for invalid input or a bad picture, or 130 after Ctrl-C."""
    return exit_code(lambda: _predict(build_parser().parse_args(argv)))


def _predict(args: argparse.Namespace) -> int:
    if bool(args.files) == bool(args.split):
        both = "files and --split test: exclude each other; pass one of them"
        raise InputError(both if args.files else "pass files, or --split test")
    for option, value in (("--dataset", args.dataset), ("--data-dir", args.data_dir)):
        if value is not None and not args.split:
            raise InputError(f"{option} {value}: only with --split test; leave it out")
    if args.show is not None:
        _check_show(args)

    require("predict", "train", "flax", "orbax.checkpoint", "PIL")
    start.import_jax()
    start.devices()
    from jaxopt_notes.inference.trained import load_trained
    from jaxopt_notes.runs.orbax_log import silence_orbax
    from jaxopt_notes.runtime.compilation import keep_compiled

    silence_orbax()
    trained = load_trained(args.run, args.which)
    keep_compiled(trained.config.program_folder)
    return _split(args, trained) if args.split else _files(args, trained)


def _check_show(args: argparse.Namespace) -> None:
    """Refuses a --show that cannot be drawn, before anything slow starts."""
    if args.split:
        raise InputError(f"--show {args.show}: only with files; leave it out")
    if not args.show.lower().endswith(".png"):
        raise InputError(f"--show {args.show}: is not a .png file; pass one, such as shown.png")
    require("--show", "plots")
    from jaxopt_notes.inference import show

    # If a shell expands `--show *.png`, `path` is a picture of the user's.
    if os.path.exists(args.show) and not show.is_ours(Path(args.show)):
        raise InputError(
            f"--show {args.show}: is one of the pictures to classify; pass the name of a new file"
        )


def _files(args: argparse.Namespace, trained: Any) -> int:
    import numpy as np

    from jaxopt_notes.data import image_files
    from jaxopt_notes.inference import images
    from jaxopt_notes.inference.prediction import probabilities

    style = _style(args, trained)
    pictures: list[tuple[str, images.Picture]] = []
    broken = False
    for name in args.files:
        try:
            pictures.append((name, images.read(Path(name), style, args.ink)))
        except image_files.PictureError as error:
            print(f"error: {error}", file=sys.stderr)
            broken = True
    if pictures:
        pixels = np.array([picture.pixels for _, picture in pictures], np.uint8)
        rows = _rows(trained, probabilities(trained, pixels))
        for (name, picture), row in zip(pictures, rows):
            row |= {"file": name, "ink": picture.ink, "warning": picture.warning}
        _print(rows, args.json, ("file", "class", "probability"))
        if args.show:
            _show(args.show, pictures, rows)
    return 2 if broken else 0


def _show(
    out: str, pictures: Sequence[tuple[str, "Picture"]], rows: Sequence[dict[str, Any]]
) -> None:
    from jaxopt_notes.inference import images, show

    shown = [
        show.Shown(
            Path(name).name,
            images.original(Path(name), picture.backdrop, show.SIDE),
            picture.pixels,
            row["class"],
            row["probability"],
            _note(row),
        )
        for (name, picture), row in zip(pictures[: show.MOST], rows)
    ]
    try:
        lacking = show.draw(Path(out), shown)
    except OSError as error:
        raise InputError(
            f"--show {out}: cannot be written ({first_line(error)}); pass another file"
        ) from error
    if lacking:
        print(lacking, file=sys.stderr)
    if len(pictures) > len(shown):
        print(f"--show {out}: shows the first {len(shown)} pictures", file=sys.stderr)


def _style(args: argparse.Namespace, trained: Any) -> Any:
    from jaxopt_notes.inference.images import Style
    from jaxopt_notes.inference.mnist_layout import FIELD

    centred = args.centre
    if centred is None:
        centred = trained.config.dataset.split(":")[0] in CENTRED
    if centred and trained.image_shape != (FIELD, FIELD, 1):
        shape = "×".join(map(str, trained.image_shape))
        raise InputError(
            f"--centre: needs 28×28×1 images, but the run was trained on {shape}; leave it out"
        )
    mean = trained.normalize.mean
    # Most of a picture is background, so a light average means dark ink.
    return Style(trained.image_shape, centred, dark_ink=sum(mean) / len(mean) > 0.5)


def _split(args: argparse.Namespace, trained: Any) -> int:
    from jaxopt_notes.data import load
    from jaxopt_notes.data.dataset import TURNED, turned_since
    from jaxopt_notes.inference.prediction import probabilities
    from jaxopt_notes.runs import info, report

    config = trained.config
    if args.dataset is None:
        info.refuse_moved(config, f"--run {args.run}")
    where = args.dataset or config.dataset, args.data_dir or config.data_dir
    follow = config.follow_links if args.follow_links is None else args.follow_links
    data = load(*where, config.image_size, follow)
    old = info.read(args.run, "--run").data
    if (report.fingerprint(data), data.class_names) != (old.fingerprint, trained.class_names):
        cause = f" (its images are now {TURNED})" if turned_since(old.note, data.note) else ""
        if args.dataset is not None:
            raise InputError(
                f"--dataset {args.dataset}: its images or labels are not those that {args.run} "
                f"was trained on{cause}; pass the run's data set"
            )
        raise InputError(
            f"--split test: {data.name} has changed since {args.run} was trained on it{cause}; "
            "restore the data set, or pass files"
        )
    rows = _rows(trained, probabilities(trained, data.test_images))
    right = 0
    for i, (row, label) in enumerate(zip(rows, data.test_labels)):
        row |= {"file": f"test[{i}]", "true": data.class_names[label]}
        right += row["class"] == row["true"]
    _print(rows, args.json, ("file", "class", "probability", "true"))
    accuracy = right / len(rows)
    unsure = sum(row["unsure"] for row in rows)
    total = {
        "split": "test",
        "accuracy": accuracy,
        "right": right,
        "examples": len(rows),
        "unsure": unsure,
    }
    line = f"{accuracy:.2%} of {len(rows):,} right, {unsure:,} unsure"
    print(json.dumps(total) if args.json else line)
    return 0


def _rows(trained: Any, probabilities: Any) -> list[dict[str, Any]]:
    names = trained.class_names
    return [
        {
            "file": "",
            "class": names[row.argmax()],
            "probability": float(row.max()),
            "unsure": bool(row.max() < UNSURE),
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
    if any(map(_note, rows)):
        cells = [[*line, note] for line, note in zip(cells, ("note", *map(_note, rows)))]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _note(row: Mapping[str, Any]) -> str:
    """A note on what is doubtful about an answer; empty for nothing."""
    unsure = "unsure" if row["unsure"] else ""
    return ", ".join(filter(None, (unsure, row.get("warning"))))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2%}"
    return value if value.isprintable() else repr(value)


if __name__ == "__main__":
    run_as_process(main)
