"""`python -m jaxopt_notes.diagnose`: explains why two optimizers take different steps."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxopt_notes.command import OneLineParser, exit_code, run_as_process
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import require
from jaxopt_notes.places import Place
from jaxopt_notes.runtime import start

DTYPES = ("float64", "float32")


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.diagnose",
        description="Run two optimizers on the same gradients and say whether they are equal. If "
        "not, list each difference, with the keyword that removes it from the first. FACTORY is a "
        "dotted name such as optax.rmsprop or torch.optim.RMSprop; KEY=VALUE are its arguments.",
        epilog="Exit code: 0 if they are equal, 1 if not, 2 for invalid input.",
    )
    parser.usage = "%(prog)s [options] FACTORY [KEY=VALUE …] -- FACTORY [KEY=VALUE …]"
    add = parser.add_argument
    add("words", nargs="*", metavar="FACTORY [KEY=VALUE …]", help="an optimizer and its arguments")
    add(
        "--dtype",
        default="float64",
        help="dtype of the parameters: float64 or float32 (default: float64)",
    )
    add("--json", action="store_true", help="print one JSON object")
    add(
        "--out",
        action=Place,
        metavar="FILE.png",
        help="draw the distance between them after each step (needs matplotlib)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0 if equal, 1 if not, 2 for invalid input."""
    return exit_code(lambda: _diagnose(list(sys.argv[1:] if argv is None else argv)))


def _diagnose(argv: list[str]) -> int:
    parser = build_parser()
    cut = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse_args(argv[:cut])
    first = args.words
    args = parser.parse_args(argv[cut + 1 :], argparse.Namespace(**vars(args) | {"words": []}))
    second = args.words
    if not first or not second:
        raise InputError(
            "FACTORY: pass two optimizers with -- between them, such as "
            "optax.adam learning_rate=1e-3 -- torch.optim.Adam lr=1e-3"
        )
    if args.dtype not in DTYPES:
        raise InputError(f"--dtype {args.dtype}: is unknown; pass one of {', '.join(DTYPES)}")
    if args.out and Path(args.out).suffix.lower() != ".png":
        raise InputError(f"--out {args.out}: pass a name that ends in .png")
    if args.out:
        require("diagnose --out", "plots")
    return _compare(first, second, args)


def _compare(first: list[str], second: list[str], args: argparse.Namespace) -> int:
    import json
    import warnings
    from functools import partial

    start.frameworks()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # frameworks warn about their own code
        from jaxopt_notes.microscope import factories, pictures
        from jaxopt_notes.microscope.diagnosis import diagnose

        a, b = (
            partial(factories.factory(path), **factories.keywords(words))
            for path, *words in (first, second)
        )
        diagnosis = diagnose(a, b, dtype=args.dtype)
    print(json.dumps(diagnosis.as_json(), ensure_ascii=False) if args.json else diagnosis)
    if args.out:
        try:
            pictures.draw_distances(Path(args.out), diagnosis)
        except OSError as error:
            raise InputError(
                f"--out {args.out}: cannot be written ({first_line(error)}); pass another file"
            ) from None
    return int(not diagnosis.equal)


if __name__ == "__main__":
    run_as_process(main)
