"""`python -m benchmarks.soak`: watches the memory of a training run, for as long as you like."""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder, whole_number
from benchmarks.harness import Spread
from jaxopt_notes.command import run_as_process
from jaxopt_notes.errors import InputError

WARM_UP = 0.1  # share of the time in which memory may grow: compiling, first checkpoints
COMMAND = ["-m", "jaxopt_notes.train", "--dataset", "mnist-12k", "--epochs", "1000000"]
COMMAND += ["--schedule", "constant", "--quiet"]
HOW = (
    "Resident memory (VmRSS) of one process of `jaxopt_notes.train` with default options, which "
    "write checkpoints, read every few seconds until SIGTERM ends it. The growth is the slope of a "
    "least-squares line after the first tenth of the time."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser("soak", "Watch the memory of a long training run.")
    parser.add_argument(
        "--minutes", type=int, metavar="N", help="minutes to run (default: 60; --quick: 1)"
    )
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    minutes = (1 if args.quick else 60) if args.minutes is None else args.minutes
    out, minutes = out_folder(args), whole_number("--minutes", minutes)
    if not Path("/proc/self/status").exists():
        raise InputError("benchmarks.soak: reads /proc, which this system lacks; use Linux")
    here = machine.facts()
    print(machine.header(here))
    record = watch(minutes * 60)
    slope = growth(record["seconds"], record["megabytes"])
    record["growth_mb_per_hour"] = slope
    print(
        f"{record['seconds'][-1] / 60:.0f} minutes, {record['epochs']} epochs: "
        f"{record['megabytes'][-1]:.0f} MB at the end, growing by {slope:+.1f} MB an hour"
    )
    tenths = [_part(record["megabytes"], k) for k in range(10)]
    rows = [f"tenth {k + 1}" for k in range(10)]
    panel = report.Panel("resident memory over the run", "MB", rows, {"": tenths})
    print(report.write(out, here, "soak", {"how": HOW, **record}, [panel]))


def watch(seconds: float) -> dict[str, Any]:
    """Trains for `seconds`; returns readings of the time and of megabytes, and the epochs done."""
    times, memory = [], []
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        process = subprocess.Popen([sys.executable, *COMMAND, "--out", str(run)])
        start = time.monotonic()
        with tqdm(total=round(seconds), unit="s", leave=False, disable=None) as bar:
            while (now := time.monotonic() - start) < seconds and process.poll() is None:
                time.sleep(min(5, seconds / 50))
                times.append(round(now, 1))
                memory.append(resident_mb(process.pid))
                bar.update(round(now) - bar.n)
        process.terminate()
        code = process.wait()
        if code != 143:
            raise InputError(f"benchmarks.soak: the run ended with exit code {code}, not 143")
        epochs = len((run / "metrics.jsonl").read_text().splitlines())
    return {"seconds": times, "megabytes": memory, "epochs": epochs}


def resident_mb(process: int) -> float:
    """The resident memory of a process, in MB of 10⁶ bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
    return round(int(kilobytes) * 1.024e-3, 1)


def growth(seconds: Sequence[float], megabytes: Sequence[float]) -> float:
    """The growth of memory after the warm-up, in MB per hour.

    >>> round(growth(range(0, 7200, 60), [500 + 2 * t / 3600 for t in range(0, 7200, 60)]), 6)
    2.0
    """
    first = round(len(seconds) * WARM_UP)
    x, y = seconds[first:], megabytes[first:]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    across = sum((a - mx) ** 2 for a in x)
    return 3600 * sum((a - mx) * (b - my) for a, b in zip(x, y)) / across


def _part(values: Sequence[float], tenth: int) -> Spread:
    part = sorted(values[len(values) * tenth // 10 : len(values) * (tenth + 1) // 10])
    return Spread(part[len(part) // 2], part[0], part[-1])


if __name__ == "__main__":
    run_as_process(main)
