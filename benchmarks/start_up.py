"""`python -m benchmarks.start_up`: measures the time to the first step."""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder, whole_number
from benchmarks.harness import Measured, missing, ratio
from benchmarks.processes import Failed, Finished, timed_process
from jaxopt_notes.command import run_as_process


class Start(NamedTuple):
    """A process to time.

    Attributes:
      arguments: arguments of python; DIR stands for the folder of compiled programs.
      beside: the name of the process that it is compared with.
      needs: the package that it needs besides ours.
      seconds: the part of its time that counts; by default all of it, to its end.
    """

    arguments: Sequence[str]
    beside: str = ""
    needs: str = ""
    seconds: Callable[[Finished], float] = lambda finished: finished.seconds


def _as_printed(finished: Finished) -> float:
    return float(finished.printed)


def _until_done(finished: Finished) -> float:
    return float(json.loads(finished.printed)["done"]) - finished.began


def _first_step(script: str, *options: str, beside: str = "", needs: str = "") -> Start:
    module = f"benchmarks.contestants.{script}"
    arguments = ["-m", module, "--first-step-only", "--dataset", "mnist-12k", *options]
    return Start(arguments, beside, needs, _until_done)


_LOAD = """
import time
from jaxopt_notes.data import load
load("mnist")  # is now decoded in its cache
start = time.perf_counter()
load("mnist")
print(time.perf_counter() - start)
"""
_CACHE = ("--compilation-cache", "DIR")
# A process finds in DIR the programs that the processes above it compiled in the same round.
STARTS = {
    "python itself": Start(["-c", "pass"]),
    "jaxopt_notes.train --help": Start(["-m", "jaxopt_notes.train", "--help"], "python itself"),
    "import jaxopt_notes": Start(["-c", "import jaxopt_notes"], "python itself"),
    "import optax": Start(["-c", "import optax"]),
    "from jaxopt_notes import adam": Start(["-c", "from jaxopt_notes import adam"], "import optax"),
    "load full MNIST, cached": Start(["-c", _LOAD], seconds=_as_printed),
    "first step, flax: first run": _first_step("mnist_flax"),
    "first step, flax: second run": _first_step("mnist_flax"),
    "first step, torch": _first_step("mnist_torch", needs="torch"),
    "first step, ours: first run": _first_step(
        "mnist_ours", *_CACHE, beside="first step, flax: first run"
    ),
    "first step, ours: second run": _first_step(
        "mnist_ours", *_CACHE, beside="first step, flax: second run"
    ),
}
HOW = (
    "Wall-clock time of processes that take turns. first step: from the start of the process "
    "to the end of one CNN step at batch 64 on real digits, with imports and data. Other rows: "
    "from the start to the end of the process. The second run reuses the programs that the first "
    "run compiled; flax does so through JAX_COMPILATION_CACHE_DIR. Loading is timed inside its "
    "process, if TFDS_DATA_DIR holds MNIST. Ratios of medians (quartiles of each round's ratio)."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser(
        "start_up", "Time --help, imports, and a process from its start to its first step."
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="rounds in which each is timed (default: 7; --quick: 1)",
    )
    parser.add_argument(
        "--parts", action="store_true", help="only print the parts of our time to the first step"
    )
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    out, rounds = out_folder(args), args.rounds
    rounds = whole_number("--rounds", (1 if args.quick else 7) if rounds is None else rounds)
    here = machine.facts()
    print(machine.header(here))
    if args.parts:
        print(f"\n{parts(rounds)}")
        return
    measurements = measure(rounds)
    print(f"\n{table(measurements)}", *report.absences(measurements), sep="\n")
    value = report.as_json(measurements)
    for name, m in measurements.items():
        beside = STARTS[name].beside
        value[name] |= {"beside": beside, "ratio": ratio(m, measurements.get(beside))}
    there = {name: m.spread() for name, m in measurements.items() if not m.absent}
    panel = report.Panel("process start to …", "seconds", list(there), {"": list(there.values())})
    written = report.write(out, here, "start_up", {"how": HOW, "processes": value}, [panel])
    print(f"\n{HOW}\n{written}")


def measure(rounds: int) -> dict[str, Measured]:
    """Starts each process once per round; each round has a new folder of compiled programs."""
    measurements = {name: Measured(absent=missing(start.needs)) for name, start in STARTS.items()}
    with tqdm(total=rounds * len(STARTS), leave=False, disable=None, unit="run") as bar:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                for name, start in STARTS.items():
                    bar.set_description_str(name)
                    if not measurements[name].absent:
                        _one(measurements[name], start, Path(folder) / start.arguments[1])
                    bar.update()
    return measurements


def _one(m: Measured, start: Start, cache: Path) -> None:
    environment = {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
    }
    arguments = [str(cache) if part == "DIR" else part for part in start.arguments]
    try:
        m.add({"seconds": start.seconds(timed_process(arguments, environment))})
    except Failed as reason:
        m.absent = str(reason)


def parts(rounds: int) -> str:
    """A table with a row for each part of our first step: its least seconds over the rounds.

    See `start_parts.main`.
    """
    runs: list[dict[str, list[float]]] = [{}, {}]
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            options = ("--first-step-only", "--dataset", "mnist-12k", "--compilation-cache", folder)
            module = "benchmarks.contestants.mnist_ours"
            arguments = ["-m", "benchmarks.start_parts", module, *options]
            for run in runs:
                for part, seconds in json.loads(timed_process(arguments, {}).printed).items():
                    run.setdefault(part, []).append(seconds)
    rows = [
        [part, *(f"{min(run[part]):.3f}" if part in run else report.NOTHING for run in runs)]
        for part in runs[0]
    ]
    return report.table(["part", "first run, s", "second run, s"], rows)


def table(measurements: dict[str, Measured]) -> str:
    """A table with a row for each process."""
    rows = []
    for name, m in measurements.items():
        if m.absent:
            continue
        beside = STARTS[name].beside
        compared = report.between(ratio(m, measurements.get(beside)))
        rows.append([name, report.between(m.spread()), compared, beside or report.NOTHING])
    return report.table(["process", "s", "ratio", "to"], rows)


if __name__ == "__main__":
    run_as_process(main)
