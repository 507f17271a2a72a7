"""Code that the benchmark commands share: their options, and errors of one line."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxopt_notes.command import OneLineParser, exit_code
from jaxopt_notes.errors import InputError, nearest
from jaxopt_notes.places import Place
from jaxopt_notes.runtime import streams

RESULTS = Path(__file__).parent / "results"
QUICK_RESULTS = Path("runs") / "benchmarks"  # quick runs do not replace real results


def one_line_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser for `python -m NAME`."""
    return OneLineParser(f"python -m {name}", description)


def benchmark_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark takes."""
    parser = one_line_parser(f"benchmarks.{name}", description)
    parser.add_argument("--quick", action="store_true", help="a short run with rough figures")
    parser.add_argument(
        "--out",
        action=Place,
        metavar="DIR",
        help=f"folder for DEVICE/{name}.json and .png (default: benchmarks/results; --quick: "
        f"{QUICK_RESULTS})",
    )
    return parser


def out_folder(args: argparse.Namespace) -> Path:
    """The folder for the results.

    Raises:
      InputError: --out names something that is not a folder.
    """
    if not args.out:
        return QUICK_RESULTS if args.quick else RESULTS
    folder = Path(args.out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {args.out}: is not a folder; pass another")
    return folder


def choose(option: str, text: str | None, known: Sequence[str]) -> list[str]:
    """The names of a comma-separated list, in the order of `known`; all names for None.

    Raises:
      InputError: a name is unknown.
    """
    if text is None:
        return list(known)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean '{near}'?" if near else f"pass some of {', '.join(known)}"
            raise InputError(f"{option} {text}: '{name}' is unknown; {hint}")
    return [name for name in known if name in names]


def whole_number(option: str, value: int, least: int = 1) -> int:
    """The value, if it is at least `least`.

    Raises:
      InputError: the value is too small.
    """
    if value < least:
        raise InputError(f"{option} {value}: is too small; pass a whole number from {least}")
    return value


def guarded(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    body: Callable[[argparse.Namespace], None],
    stopped: str = "stopped; nothing was written",
) -> int:
    """Runs a command; returns its exit code: 0, 2 for invalid input, 130 after Ctrl-C."""

    def command() -> int:
        args = parser.parse_args(argv)
        streams.outlive_readers()  # the results go to files
        body(args)
        return 0

    return exit_code(command, stopped)
