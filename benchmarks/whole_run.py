"""`python -m benchmarks.whole_run`: runs train, resume, predict and export on this device.

A run that is killed and resumed must end like an unbroken run. The CPU must also be able to read a
run that this device trained.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder
from benchmarks.processes import Failed, timed_process
from jaxopt_notes.command import run_as_process
from jaxopt_notes.errors import InputError
from jaxopt_notes.places import Place

CPU = {"JAX_PLATFORMS": "cpu"}
PATIENCE = 120  # seconds that a run may take until its first checkpoint
HOW = (
    "Each line is one process or two. killed and resumed: SIGKILL after the first checkpoint, "
    "then --resume; equal: every number of metrics.jsonl except the seconds agrees with the "
    "uninterrupted run's. predict: on the run's own test set. export: written on this device, "
    "then loaded and run on the CPU."
)
# Reads an exported network and runs it on bundled digits; JAX alone runs the network.
_RUN_EXPORTED = """
import sys, jax, numpy as np
from jaxopt_notes.data import load
data = load("mnist-12k")
network = jax.export.deserialize(open(sys.argv[1], "rb").read())
answers = np.asarray(network.call(data.test_images)).argmax(-1)
print(jax.default_backend(), f"{(answers == data.test_labels).mean():.2%}", "right")
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser(
        "whole_run", "Train, kill, resume, predict and export on this device."
    )
    parser.add_argument(
        "--dataset", metavar="NAME", help="data set (default: mnist; --quick: mnist-12k)"
    )
    parser.add_argument(
        "--data-dir",
        action=Place,
        metavar="DIR",
        help="folder of TFDS's data sets (default: ~/tensorflow_datasets)",
    )
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    out, here = out_folder(args), machine.facts()
    print(machine.header(here))
    options = ["--dataset", args.dataset or ("mnist-12k" if args.quick else "mnist"), "--quiet"]
    options += ["--data-dir", args.data_dir] if args.data_dir else []
    options += ["--model", "mlp", "--epochs", "2"] if args.quick else []
    with tempfile.TemporaryDirectory() as folder:
        results = run(options, Path(folder), lambda rows: _write(out, here, rows))
    print(f"\n{table(results)}\n\n{HOW}\n{_write(out, here, results)}")
    if all(not row["done"] for row in results):
        raise InputError(f"benchmarks.whole_run: {results[0]['result']}")


def _write(out: Path, here: dict[str, Any], results: Sequence[dict[str, Any]]) -> str:
    return report.write(out, here, "whole_run", {"how": HOW, "commands": list(results)}, [])


def run(
    options: Sequence[str], folder: Path, keep: Callable[[list[dict[str, Any]]], Any]
) -> list[dict[str, Any]]:
    """Runs one command after the other; a failed command does not stop the later ones.

    Args:
      options: options of train.
      folder: the folder for the runs.
      keep: called after each command with the results so far.
    """
    whole, cut, file = folder / "whole", folder / "cut", folder / "network.jax"

    def train() -> str:
        _command("train", [*options, "--out", str(whole)])
        return f"test accuracy {_metrics(whole)[-1]['test_accuracy']:.2%}"

    def killed() -> str:
        step = kill_after_checkpoint([*options, "--out", str(cut)], cut)
        _command("train", ["--resume", str(cut), "--quiet"])
        same = _metrics(whole) == _metrics(cut)
        return f"killed after step {step:,}; " + ("equal" if same else "not equal")

    def exported() -> str:
        _command("export", ["--run", str(whole), "--out", str(file)])
        return timed_process(["-c", _RUN_EXPORTED, str(file)], CPU).printed.strip()

    predicting = ["--run", str(whole), "--split", "test", "--json"]
    commands: dict[str, Callable[[], str]] = {
        "train": train,
        "train, killed and resumed": killed,
        "predict": lambda: _last(_command("predict", predicting)),
        "predict on the CPU": lambda: _last(_command("predict", predicting, CPU)),
        "export, run on the CPU": exported,
    }
    results: list[dict[str, Any]] = []
    for name, command in commands.items():
        start = time.monotonic()
        try:
            result, done = command(), True
        except (Failed, InputError) as reason:
            result, done = str(reason), False
        seconds = time.monotonic() - start
        results.append({"command": name, "result": result, "done": done, "seconds": seconds})
        print(f"{name}: {result} ({seconds:.1f} s)", flush=True)
        keep(results)
    return results


def kill_after_checkpoint(options: Sequence[str], run: Path) -> int:
    """Trains, and kills the process once a checkpoint is complete; returns the checkpoint's step.

    Raises:
      Failed: no checkpoint was written in time, or the run ended first.
    """
    process = subprocess.Popen([sys.executable, "-m", "jaxopt_notes.train", *options])
    deadline = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            if done := [p.parent.name for p in run.glob("checkpoints/*/commit_success.txt")]:
                return max(int(name) for name in done if name.isdigit())
            if process.poll() is not None:
                raise Failed("failed: the run ended before it could be killed")
            time.sleep(0.002)
        raise Failed(f"failed: no checkpoint within {PATIENCE} s")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _command(name: str, options: Sequence[str], environment: dict[str, str] | None = None) -> str:
    return timed_process(["-m", f"jaxopt_notes.{name}", *options], environment or {}).printed


def _last(printed: str) -> str:
    answer = json.loads(printed.splitlines()[-1])
    return f"{answer['accuracy']:.2%} of {answer['examples']:,} right"


def _metrics(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def table(results: Sequence[dict[str, Any]]) -> str:
    """A table with a row for each command."""
    rows = [[row["command"], row["result"], report.number(row["seconds"])] for row in results]
    return report.table(["command", "result", "s"], rows)


if __name__ == "__main__":
    run_as_process(main)
