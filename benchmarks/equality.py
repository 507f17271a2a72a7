"""`python -m benchmarks.equality`: do the optimizers equal their sources on this device?

Runs `jaxopt_notes.verify`, and the tests of optimizers and losses, which only a checkout has.
"""

import argparse
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder
from benchmarks.processes import limited_process
from jaxopt_notes.command import run_as_process
from jaxopt_notes.errors import InputError

TESTS = ["tests/equality", "tests/optimizers", "tests/test_losses.py"]
QUICK_TESTS = ["tests/test_losses.py"]
HOW = (
    "verify: compares every optimizer in every setting with optax, torch (on the CPU), Keras if "
    "it is installed, and the written equation. tests: pytest on " + ", ".join(TESTS) + "."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser(
        "equality", "Check the optimizers against optax, torch and the equations here."
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=600,
        metavar="N",
        help="time limit of each check in seconds (default: 600)",
    )
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    out, here = out_folder(args), machine.facts()
    print(machine.header(here))
    verify = ["-m", "jaxopt_notes.verify", "--quick"]
    verify += ["--optimizer", "adam", "--oracle", "optax", "--steps", "2"] if args.quick else []
    tests = QUICK_TESTS if args.quick else TESTS
    workers = min(8, machine.cores())
    pytest = ["-m", "pytest", "-n", str(workers), "-rf", *tests]
    checks: dict[str, dict[str, Any]] = {}
    for name, command, read in (("verify", verify, verified), ("tests", pytest, tested)):
        checks[name] = check(command, args.limit, read)
        written = report.write(out, here, "equality", {"how": HOW, "checks": checks}, [])
    rows = [[name, row["said"], f"{row['seconds']:.0f}"] for name, row in checks.items()]
    print(f"\n{report.table(['check', 'result', 's'], rows)}\n")
    for row in checks.values():
        print(*row["out"], sep="\n")
    print(f"\n{HOW}\n{written}")
    if all(row["broken"] for row in checks.values()):
        raise InputError(f"equality: nothing was checked ({checks['verify']['said']})")


def check(
    command: Sequence[str], limit: float, read: Callable[[str], tuple[str, list[str]]]
) -> dict[str, Any]:
    """Runs a check; returns its summary line, and what was not equal."""
    start = time.monotonic()
    done = limited_process(command, {}, limit, partial(print, flush=True))
    result, out = read(done.printed)
    return {
        "command": " ".join(["python", *command]),
        "said": result or done.failed,
        "out": out,
        "broken": not result,
        "seconds": time.monotonic() - start,
    }


def verified(printed: str) -> tuple[str, list[str]]:
    """verify's summary, and the rows that are not equal."""
    lines = printed.strip().splitlines()
    if not lines or not re.search(r"\d+ of \d+ equal", lines[-1]):
        return "", []
    return lines[-1], [line for line in lines[:-1] if re.search(r"\bOUT\b", line)]


def tested(printed: str) -> tuple[str, list[str]]:
    """pytest's summary, and the tests that failed.

    >>> tested("FAILED tests/a.py::b - no\\n1 failed, 2 passed in 3.00s\\n")
    ('1 failed, 2 passed in 3.00s', ['FAILED tests/a.py::b - no'])
    >>> tested("no summary")
    ('', [])
    """
    lines = printed.strip().splitlines()
    summaries = [line.strip("= ") for line in lines if re.search(r"\d (passed|failed).* in ", line)]
    return (
        summaries[-1] if summaries else "",
        [line for line in lines if line.startswith(("FAILED", "ERROR"))],
    )


if __name__ == "__main__":
    run_as_process(main)
