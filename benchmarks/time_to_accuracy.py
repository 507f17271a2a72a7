"""`python -m benchmarks.time_to_accuracy`: whole processes, from start to 99.0% of MNIST."""

import argparse
import json
import statistics
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder, whole_number
from benchmarks.harness import Measured, missing, ratio
from benchmarks.processes import Failed, timed_process
from jaxopt_notes.command import run_as_process
from jaxopt_notes.data import load
from jaxopt_notes.errors import InputError
from jaxopt_notes.places import Place

OFFICIAL = "flax nnx, official manner"
TORCH = "torch"
CONTESTANTS = {"ours": "mnist_ours", OFFICIAL: "mnist_flax", TORCH: "mnist_torch"}
NEEDS = {TORCH: "torch"}
COLUMNS = (
    "contestant",
    "median s",
    "worst s",
    "/ official",
    "/ torch",
    "reached",
    "epochs",
    "accuracy, epoch 1",
    "least",
)
HOW = (
    "Wall clock of a whole process: imports, data, compilation (nothing kept from earlier runs), "
    "training, evaluation after each epoch. The same recipe, network and order of images for all: "
    "an epoch that misses the target is followed by another. Contestants in turn, seed by seed; "
    "ratios of medians (quartiles of the ratios of each seed)."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser("time_to_accuracy", "Time whole trainings to a test accuracy.")
    parser.add_argument("--dataset", metavar="NAME", help="(mnist; --quick: mnist-12k)")
    parser.add_argument(
        "--data-dir", action=Place, metavar="DIR", help="TFDS's folder (~/tensorflow_datasets)"
    )
    parser.add_argument("--target", type=float, metavar="X", help="(0.99; --quick: 0.95)")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many (5; --quick: 1)")
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    out, quick = out_folder(args), args.quick
    target = (0.95 if quick else 0.99) if args.target is None else args.target
    if not 0 < target <= 1:
        raise InputError(f"--target {target}: give a share, above 0 and up to 1, such as 0.99")
    seeds = (1 if quick else 5) if args.seeds is None else whole_number("--seeds", args.seeds)
    dataset = args.dataset or ("mnist-12k" if quick else "mnist")
    load(dataset, args.data_dir)  # so that it lies decoded in its cache
    here = machine.facts()
    print(machine.header(here))
    options = ["--dataset", dataset]
    options += ["--data-dir", args.data_dir] if args.data_dir else []
    found = measure(options, target, seeds)
    print(f"\n{dataset}, {target:.1%}\n{table(found)}", *report.absences(found), sep="\n")
    value = {
        "how": HOW,
        "dataset": dataset,
        "target": target,
        "contestants": summary(found),
    }
    panel = report.Panel(
        f"process start to {target:.1%} of {dataset}",
        "seconds",
        [name for name, m in found.items() if m.samples],
        {"": [m.spread() for m in found.values() if m.samples]},
    )
    print(f"\n{HOW}\n{report.write(out, here, 'time_to_accuracy', value, [panel])}")


def measure(options: Sequence[str], target: float, seeds: int) -> dict[str, Measured]:
    """Runs each contestant once a seed."""
    found = {name: Measured(absent=missing(NEEDS.get(name, ""))) for name in CONTESTANTS}
    with tqdm(total=seeds * len(CONTESTANTS), leave=False, disable=None, unit="run") as bar:
        for seed in range(seeds):
            for name, script in CONTESTANTS.items():
                bar.set_description_str(f"seed {seed}: {name}")
                if not found[name].absent:
                    arguments = [*options, "--target", str(target), "--seed", str(seed)]
                    _one(found[name], script, arguments, target)
                bar.update()
    return found


def _one(m: Measured, script: str, arguments: Sequence[str], target: float) -> None:
    try:
        done = timed_process(["-m", f"benchmarks.contestants.{script}", *arguments], {})
    except Failed as reason:
        m.absent = str(reason)
        return
    accuracies = json.loads(done.printed.splitlines()[-1])["accuracies"]
    m.add(
        {
            "seconds": done.seconds,
            "epochs": len(accuracies),
            "first_accuracy": accuracies[0],
            "last_accuracy": accuracies[-1],
            "reached": float(accuracies[-1] >= target),
        }
    )


def table(found: dict[str, Measured]) -> str:
    """A row a contestant."""
    rows = []
    for name, m in found.items():
        if m.absent:
            continue
        of = m.samples
        rows.append(
            [
                name,
                report.between(m.spread()),
                report.number(max(of["seconds"])),
                report.between(ratio(m, found.get(OFFICIAL))),
                report.between(ratio(m, found.get(TORCH))),
                f"{sum(of['reached']):.0f} of {len(of['reached'])}",
                report.number(statistics.median(of["epochs"]), 2),
                f"{statistics.median(of['first_accuracy']):.2%}",
                f"{min(of['first_accuracy']):.2%}",
            ]
        )
    return report.table(COLUMNS, rows)


def summary(found: dict[str, Measured]) -> dict[str, Any]:
    """The JSON of all contestants."""
    value = report.as_json(found)
    for name, m in found.items():
        value[name]["ratio_to_official"] = ratio(m, found.get(OFFICIAL))
        value[name]["ratio_to_torch"] = ratio(m, found.get(TORCH))
    return value


if __name__ == "__main__":
    run_as_process(main)
