"""`python -m jaxopt_notes.verify`: proves on this machine that optimizers equal their sources."""

import argparse
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes.command import OneLineParser, exit_code, run_as_process
from jaxopt_notes.config.optimizers import OPTIMIZERS
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.places import Place
from jaxopt_notes.runtime import start, streams

PROVED = tuple(name for name, row in OPTIMIZERS.items() if row.proved)
ORACLES = ("optax", "torch", "keras", "tensorflow", "equation")
DTYPES = ("float32", "float64", "bfloat16")
STEPS, QUICK_STEPS = 200, 30


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.verify",
        description="Compare every optimizer, in every keyword setting, with optax, torch, Keras "
        "and TensorFlow (if installed) and with the written equation, on awkward gradients. Print "
        "the distances in units in the last place.",
        epilog="Exit code: 0 if all are equal (with --mutate: all mutants caught), 1 if not, 2 "
        "for invalid input.",
    )
    add = parser.add_argument
    add(
        "--optimizer",
        action="append",
        metavar="NAME",
        help=f"optimizers to check: {', '.join(PROVED)} (default: all)",
    )
    add(
        "--oracle",
        action="append",
        metavar="NAME",
        help=f"what to compare with: {', '.join(ORACLES)} (default: all)",
    )
    add(
        "--dtype",
        action="append",
        metavar="NAME",
        help=f"dtypes: {', '.join(DTYPES)} (default: all)",
    )
    add(
        "--steps",
        type=int,
        metavar="N",
        help=f"steps of each comparison (default: {STEPS}; --quick: {QUICK_STEPS})",
    )
    add("--quick", action="store_true", help="fewer steps, and one dtype for each oracle")
    add(
        "--mutate",
        action="store_true",
        help="put in wrong formulas one at a time, and check that each is caught",
    )
    add("--out", action=Place, metavar="DIR", help="folder for certificate.json and certificate.md")
    return parser


def validate(args: argparse.Namespace) -> None:
    """Raises InputError for invalid arguments before JAX is imported; makes the folder of --out."""
    for option, known in (("optimizer", PROVED), ("oracle", ORACLES), ("dtype", DTYPES)):
        for name in getattr(args, option) or ():
            if name not in known:
                raise InputError(f"--{option} {name}: is unknown; pass one of {', '.join(known)}")
    if args.steps is not None and args.steps < 2:
        raise InputError(f"--steps {args.steps}: is too few; pass at least 2")
    if args.out:
        try:  # first, because the proof takes minutes
            os.makedirs(args.out, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"--out {args.out}: cannot be a folder ({first_line(error)}); pass another"
            ) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, 1 if a row is not equal, 2 for invalid input."""

    def command() -> int:
        args = build_parser().parse_args(argv)
        validate(args)
        with warnings.catch_warnings():
            # For example, Keras imports an outdated name from JAX; a user cannot act on that.
            warnings.simplefilter("ignore", DeprecationWarning)
            return _verify(args)

    return exit_code(command, "stopped; nothing was written")


def _verify(args: argparse.Namespace) -> int:
    start.import_jax()
    start.devices()
    from jaxopt_notes.verification import certificate, proof

    if args.out:
        streams.outlive_readers()
    steps = args.steps or (QUICK_STEPS if args.quick else STEPS)
    about = {"steps": steps, **proof.device()}
    print(f"{about['device']}; {', '.join(f'{n} {v}' for n, v in about['versions'].items())}")
    print(certificate.head(args.mutate))
    began = time.perf_counter()
    rows: list[Any] = []
    for row in _work(args, steps):
        print(certificate.line(row))
        rows.append(row)
    if not rows:
        raise InputError(
            "nothing to prove: none of the chosen optimizers has that oracle and dtype"
        )
    seconds = time.perf_counter() - began
    print(certificate.summary(rows, seconds))
    if args.out:
        for path in certificate.write(Path(args.out), rows, about, seconds):
            print(f"wrote {path}")
    return int(any(row.out for row in rows))


def _work(args: argparse.Namespace, steps: int) -> Any:
    from jaxopt_notes.verification import proof
    from jaxopt_notes.verification.mutants import mutants
    from jaxopt_notes.verification.settings import kind, settings

    chosen = args.optimizer or PROVED
    oracles = args.oracle or ORACLES
    if args.mutate:
        return proof.hunt([m for m in mutants() if kind(m.setting) in chosen], oracles, steps)
    table = [s for s in settings() if kind(s) in chosen]
    if args.quick:  # the rate's own code is ours to prove once
        table = [s for s in table if s.scheduled or s.framework == "optax"]
    dtypes = proof.QUICK if args.quick and not args.dtype else proof.DTYPES
    asked = {o: [d for d in able if d in (args.dtype or DTYPES)] for o, able in dtypes.items()}
    return proof.check(table, oracles, asked, steps)


if __name__ == "__main__":
    run_as_process(main)
