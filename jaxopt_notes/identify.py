"""`python -m jaxopt_notes.identify`: names an optimizer from its steps alone."""

import argparse
from collections.abc import Sequence

from jaxopt_notes.command import OneLineParser, exit_code, run_as_process
from jaxopt_notes.errors import InputError
from jaxopt_notes.runtime import start

DTYPES = ("float64", "float32")


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.identify",
        description="Run an optimizer on chosen gradients. Report its equation and "
        "hyperparameters, the framework whose convention it follows, and where it deviates from "
        "every known convention. "
        "FACTORY is a dotted name such as optax.adam or torch.optim.RMSprop; KEY=VALUE are its "
        "arguments.",
        epilog="Exit code: 0 for a known optimizer without deviations, 1 for any other, 2 for "
        "invalid input.",
    )
    parser.usage = "%(prog)s [options] FACTORY [KEY=VALUE …]"
    add = parser.add_argument
    add("words", nargs="*", metavar="FACTORY [KEY=VALUE …]", help="the optimizer and its arguments")
    add(
        "--command",
        metavar="COMMAND",
        help="instead of FACTORY: a program that exchanges one JSON object per line",
    )
    add(
        "--dtype",
        default="float64",
        help="dtype of the parameters: float64 or float32 (default: float64)",
    )
    add("--claim", metavar="NAME", help="convention that it should follow, such as torch.adamw")
    add(
        "--patience",
        type=float,
        default=20.0,
        metavar="S",
        help="seconds to wait for each answer of --command's program (default: 20)",
    )
    add(
        "--self-test",
        action="store_true",
        help="instead, identify every setting that `verify` proves and every planted fault",
    )
    add("--json", action="store_true", help="print one JSON object")
    return parser


def validate(args: argparse.Namespace) -> None:
    """Raises InputError for arguments that cannot work, before JAX is imported."""
    if args.self_test and (args.words or args.command is not None):
        raise InputError("--self-test: takes no FACTORY and no --command; leave them out")
    if not args.self_test and bool(args.words) == (args.command is not None):
        raise InputError(
            "FACTORY: pass either a factory, such as optax.adam learning_rate=1e-3, or --command"
        )
    if args.dtype not in DTYPES:
        raise InputError(f"--dtype {args.dtype}: is unknown; pass one of {', '.join(DTYPES)}")
    if not 0 < args.patience < float("inf"):
        raise InputError(
            f"--patience {args.patience:g}: is too short; pass a number of seconds above 0"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, 1 for an unknown or deviating optimizer, 2 for invalid input."""

    def command() -> int:
        args = build_parser().parse_args(argv)
        validate(args)
        return _self_test(args) if args.self_test else _identify(args)

    return exit_code(command)


def _self_test(args: argparse.Namespace) -> int:
    import json
    import warnings

    start.frameworks()
    from jaxopt_notes.microscope.steps import proof

    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of frameworks, about themselves
        for row in proof.prove():
            rows.append(row)
            if not args.json:
                print(proof.line(row), flush=True)
    if args.json:
        print(json.dumps(proof.as_json(rows), ensure_ascii=False, indent=1))
    else:
        print("\n".join(proof.summary(rows)))
    return int(any(row.wrong or not row.right for row in rows))


def _identify(args: argparse.Namespace) -> int:
    import contextlib
    import json
    import warnings

    start.frameworks()
    from jaxopt_notes.microscope import factories
    from jaxopt_notes.microscope.steps import steppers
    from jaxopt_notes.microscope.steps.child import ChildStepper
    from jaxopt_notes.microscope.steps.identification import identify

    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of frameworks, about themselves
        stepper: steppers.Stepper
        if args.command is not None:
            stepper = stack.enter_context(ChildStepper(args.command, args.patience))
        else:
            path, *words = args.words
            stepper = steppers.stepper(path, factories.keywords(words))
        identification = identify(stepper, args.dtype, args.claim)
    if args.json:
        print(json.dumps(identification._asdict(), ensure_ascii=False))
    else:
        print(identification)
    return int(not identification.known or bool(identification.deviations))


if __name__ == "__main__":
    run_as_process(main)
