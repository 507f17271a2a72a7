"""`python -m jaxopt_notes.explain`: prints an optimizer's equations, read from its program."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from jaxopt_notes import files
from jaxopt_notes.command import OneLineParser, exit_code, run_as_process
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import require
from jaxopt_notes.places import Place
from jaxopt_notes.runtime import start


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.explain",
        description="Print the equations of one step of an optimizer, read from the program that "
        "JAX traces. Check them by running them beside the optimizer.",
        epilog="Example: python -m jaxopt_notes.explain optax.adamw learning_rate=1e-3. "
        "Exit code: 0 if the equations hold, 1 if the optimizer could not be put into an equation, "
        "2 for invalid input.",
    )
    parser.usage = "%(prog)s [options] FACTORY [KEY=VALUE ...]"
    add = parser.add_argument
    add(
        "factory",
        nargs="?",
        metavar="FACTORY",
        help="dotted name of the function that makes the optimizer: optax.adamw, or one in your "
        "own module",
    )
    add(
        "values",
        nargs="*",
        metavar="KEY=VALUE",
        help="the factory's arguments: numbers, true, false, None or strings",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print one JSON object")
    shape.add_argument("--latex", action="store_true", help="print the equations in LaTeX")
    add(
        "--table",
        action=Place,
        metavar="FILE.md",
        help="write the equations of our optimizers, the other frameworks' and optax's to this "
        "page",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return exit_code(lambda: _explain(build_parser().parse_args(argv)))


def _explain(args: argparse.Namespace) -> int:
    if args.table and args.factory:
        raise InputError(
            f"--table {args.table}: writes a page of its own; leave out {args.factory}"
        )
    if not args.table and not args.factory:
        raise InputError("FACTORY: is missing; pass one such as optax.adamw")
    require("explain", "microscope")
    start.import_jax()
    start.devices()
    if args.table:
        return _write_table(Path(args.table))
    from jaxopt_notes.microscope.equations.explaining import explain
    from jaxopt_notes.microscope.factories import factory, keywords

    values = keywords(args.values)
    explanation = explain(factory(args.factory), name=args.factory, **values)
    if args.json:
        print(explanation.json())
    else:
        print(explanation.latex if args.latex and explanation.holds else explanation.text)
    return int(not explanation.holds)


def _write_table(path: Path) -> int:
    from jaxopt_notes.microscope.equations.page import page

    text = page()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, text)
    except OSError as error:
        raise InputError(
            f"--table {path}: cannot be written ({first_line(error)}); pass another file"
        ) from error
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    run_as_process(main)
