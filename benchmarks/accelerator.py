"""`python -m benchmarks.accelerator --out DIR`: the benchmarks that matter on a GPU, in minutes.

The parts run in order of importance, each in its own process. Each part has a time limit; the time
that it does not need goes to later parts. While a part runs it writes its own file, always whole,
so a run that is cut short keeps what it measured:

    DIR/CARD/NAME.json, NAME.png   what a part measured; written anew when the part runs again
    DIR/CARD/accelerator.json      what each part printed, and why one failed
    DIR/CARD/benchmarks.html, .md  the page about all parts that ever wrote to this folder

A second run into the same folder replaces the results of the parts that it runs and keeps all other
results. If a part fails, its earlier file stays, and the page reports the failure.

A machine without a network needs this checkout, Python with JAX for its GPU, flax, optax,
orbax-checkpoint, flatbuffers and tqdm (tests: pytest, pytest-xdist, hypothesis, scipy), and MNIST
as `load` stores it. Make that folder on another machine, from the network or from MNIST's four
files in DATA/downloads/manual, and copy it:

    python -c "from jaxopt_notes.data import load; load('mnist', 'DATA')"
    tar czf mnist.tgz -C DATA mnist
    (there)  mkdir DATA && tar xzf mnist.tgz -C DATA
    (there)  TFDS_DATA_DIR=$PWD/DATA python -m benchmarks.accelerator --out RESULTS

The machine does not need tensorflow-datasets. The benchmarks use torch, matplotlib and Keras where
they are installed. `--quick` rehearses everything on a CPU, with small sizes.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import aims, machine, page
from benchmarks.command import (
    RESULTS,
    benchmark_parser,
    choose,
    guarded,
    out_folder,
    whole_number,
)
from benchmarks.processes import limited_process
from jaxopt_notes import files
from jaxopt_notes.command import run_as_process
from jaxopt_notes.errors import InputError

NAME = "accelerator"
LEAST = 5.0  # seconds; a part that would get less is not started


class Part(NamedTuple):
    """A part of the run, named after its benchmark.

    Attributes:
      line: what it measures.
      limit: seconds that it may take on a GPU; the first six parts may take 360 together.
      options: the benchmark's options.
      quick: options that shorten its rehearsal, besides --quick.
    """

    line: str
    limit: int
    options: Sequence[str] = ()
    quick: Sequence[str] = ()


_TREES = "gpt2-small-like,1000-leaves,cnn,mlp-10m,resnet50-like,mixed"
PARTS = {
    "ceilings": Part("the card's peak speed", 25),
    "equality": Part("optimizers against optax, torch and the equations", 75),
    "train_step": Part(
        "one training step of the CNN",
        105,
        ["--batch", "128,1024,8192", "--rounds", "7"],
        ["--batch", "32", "--rounds", "2"],
    ),
    "update_step": Part(
        "Adam's update on six trees",
        70,
        [
            *("--trees", _TREES, "--rules", "adam"),
            *("--starts", "1", "--rounds", "5", "--builds", "0"),
        ],
        ["--trees", "cnn"],
    ),
    "compiled_training": Part("trainings in a process that has already compiled", 20),
    "time_to_accuracy": Part("time of whole trainings", 65, ["--rounds", "2"], ["--rounds", "1"]),
    "whole_run": Part("train, kill, resume, predict, export", 90),
    "kernels": Part("the kernels of ten steps", 45),
}
QUICK_LIMIT = 10  # factor of the time limits on a CPU


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code, 2 if no part has a result."""
    parser = benchmark_parser(NAME, "Run the benchmarks for a GPU, the most important first.")
    parser.add_argument(
        "--minutes",
        type=int,
        metavar="M",
        help="end after M minutes (default: the sum of the parts' limits)",
    )
    parser.add_argument(
        "--parts", metavar="NAME,…", help=f"parts to run: {', '.join(PARTS)} (default: all)"
    )
    return guarded(parser, argv, _run, "stopped; each part's file holds its results so far")


def _run(args: argparse.Namespace) -> None:
    names = choose("--parts", args.parts, list(PARTS))
    factor = QUICK_LIMIT if args.quick else 1
    whole = factor * sum(PARTS[name].limit for name in names)
    if args.minutes is not None:
        whole = min(whole, 60 * whole_number("--minutes", args.minutes))
    start, out = time.monotonic(), out_folder(args)
    here = machine.facts()
    print(machine.header(here), flush=True)
    known = {machine.KNOWN: json.dumps(here)}
    folder = out / machine.folder_name(here)
    folder.mkdir(parents=True, exist_ok=True)
    done = earlier(folder)
    until, failed, measured = 0.0, {}, False
    for i, name in enumerate(names):
        until = min(whole, until + factor * PARTS[name].limit)
        left = until - (time.monotonic() - start)
        print(f"[{i + 1}/{len(names)}] {name}: {PARTS[name].line} ({left:.0f} s at most)")
        written_before = _written(folder, name)
        done[name] = part(name, args.quick, out, left, known)
        measured |= not done[name].failed or _written(folder, name) > written_before
        seconds = time.monotonic() - start
        print(f"      {done[name].failed or 'done'}; {seconds:.0f} s since the start", flush=True)
        if done[name].failed:
            failed[name] = done[name].failed
        page_at = keep(folder, here, done, args.quick)
    print(f"\n{aims.table(aims.read(folder))}\n")
    for name, reason in failed.items():
        print(f"{name} {reason}")
    if not measured:
        raise InputError(f"{NAME}: no part has a result; {failed[names[0]]}")
    print(page_at)


def _written(folder: Path, name: str) -> int:
    """When a part's file was written, in nanoseconds; 0 where there is none."""
    path = folder / f"{name}.json"
    return path.stat().st_mtime_ns if path.exists() else 0


def part(
    name: str, quick: bool, out: Path, limit: float, environment: dict[str, str]
) -> page.Section:
    """Runs a part, and passes on its output."""
    options = [*PARTS[name].options, *(["--quick", *PARTS[name].quick] if quick else [])]
    command = ["-m", f"benchmarks.{name}", *options]
    section = page.Section(name, PARTS[name].line, " ".join(["python", *command]))
    if limit < LEAST:
        return section._replace(failed="was not started: no time is left")
    ran = limited_process(
        [*command, "--out", str(out)],
        environment,
        limit,
        lambda line: print(f"  {line}", flush=True),
    )
    return section._replace(printed=ran.printed, failed=ran.failed)


def earlier(folder: Path) -> dict[str, page.Section]:
    """The output of the parts that wrote to this folder earlier."""
    try:
        stored = json.loads((folder / f"{NAME}.json").read_text("utf-8"))
        sections = {row["name"]: page.Section(**row) for row in stored["parts"]}
    except (OSError, ValueError, KeyError, TypeError):  # missing or unreadable
        return {}
    return {name: sections[name] for name in PARTS if name in sections}


def keep(folder: Path, here: dict[str, Any], done: dict[str, page.Section], quick: bool) -> str:
    """Writes accelerator.json and the page; returns a line with their paths."""
    sections = [done[name] for name in PARTS if name in done]
    rows = [section._asdict() for section in sections]
    files.write_json(folder / f"{NAME}.json", {"benchmark": NAME, "machine": here, "parts": rows})
    if figures := aims.table(aims.read(folder)):
        command = f"python -m benchmarks.{NAME}"
        first = page.Section("aims", "figures and their targets", command, f"\n{figures}\n-")
        sections = [first, *sections]
    return f"{page.write(folder, here, sections, RESULTS, quick)} and .md"


if __name__ == "__main__":
    run_as_process(main)
