"""`python -m jaxopt_notes.compare`: compares training runs in a table and by their curves."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxopt_notes.command import OneLineParser, exit_code, run_as_process
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import require
from jaxopt_notes.places import Place
from jaxopt_notes.runs.comparison import Comparison, compare
from jaxopt_notes.runtime.host import silence_matplotlib


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.compare",
        description="Compare training runs: the settings that differ, the best and the last scores "
        "on the test set, steps, seconds, and the curves.",
    )
    parser.usage = "%(prog)s [options] RUN ..."
    parser.add_argument(
        "runs", nargs="+", action=Place, metavar="RUN", help="folder of a training run"
    )
    parser.add_argument(
        "--out",
        action=Place,
        metavar="FILE.png",
        help="draw all curves in one picture (needs matplotlib)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, 2 for invalid input, 130 after Ctrl-C."""
    return exit_code(lambda: _compare(build_parser().parse_args(argv)))


def _compare(args: argparse.Namespace) -> int:
    if args.out and Path(args.out).suffix.lower() != ".png":
        raise InputError(f"--out {args.out}: pass a name that ends in .png")
    if args.out:
        require("compare --out", "plots")
        require("compare --out", "train", "flax")
    comparison = compare(args.runs)
    if args.out:
        _draw(comparison, args.out)
    print(json.dumps(comparison.as_json()) if args.json else comparison.text())
    for note in comparison.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _draw(comparison: Comparison, out: str) -> None:
    from jaxopt_notes.runs import plots

    silence_matplotlib()

    curves = {run.name: run.rows for run in comparison.runs if run.rows}
    if not curves:
        raise InputError(
            f"--out {out}: no run has finished an epoch, so there is nothing to draw; let a run "
            "finish one"
        )
    try:
        lacking = plots.draw_comparison(Path(out), curves)
    except OSError as error:
        raise InputError(
            f"--out {out}: cannot be written ({first_line(error)}); pass another file"
        ) from error
    if lacking:
        print(lacking, file=sys.stderr)


if __name__ == "__main__":
    run_as_process(main)
