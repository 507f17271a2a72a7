"""`python -m benchmarks.same_update`: times our update and optax's in turn on the same arrays.

`update_step` gives each contestant its own process, and the memory that it gets there changes its
time by a few percent. This benchmark measures smaller differences: whether our update is slower
than optax's.
"""

import argparse
import json
from collections.abc import Sequence

from tqdm import tqdm

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, choose, guarded, out_folder, whole_number
from benchmarks.contestants.trees import BYTES, TREES
from benchmarks.harness import Measured, Spread, ratio
from benchmarks.processes import timed_process
from jaxopt_notes.command import run_as_process

HOW = (
    "One jit updates and applies, in float32, with parameters and state donated; our optimizers "
    "are used as imported. Each rule and tree has its own process. In it, our step and optax's "
    "alternate on the same arrays, and each goes first in half of the rounds. Ratio of the medians "
    "(quartiles of each round's ratio)."
)
QUICK_TREES = "cnn,1000-leaves"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser("same_update", "Time our update and optax's on the same arrays.")
    parser.add_argument(
        "--trees",
        metavar="NAME,…",
        help=f"trees to measure: {', '.join(TREES)} (default: all; --quick: {QUICK_TREES})",
    )
    parser.add_argument(
        "--rules", metavar="NAME,…", help=f"rules to measure: {', '.join(BYTES)} (default: all)"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="rounds in which each is timed (default: 20; --quick: 5)",
    )
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    out, quick = out_folder(args), args.quick
    trees = choose("--trees", args.trees or (QUICK_TREES if quick else None), list(TREES))
    rules = choose("--rules", args.rules, list(BYTES))
    rounds = (5 if quick else 20) if args.rounds is None else args.rounds
    rounds = whole_number("--rounds", rounds, least=2)
    here = machine.facts()
    print(machine.header(here))
    measurements = measure(trees, rules, rounds)
    rows = [
        [tree, *(report.between(_ratio(measurements[tree][rule])) for rule in rules)]
        for tree in trees
    ]
    print(f"\nours / optax\n{report.table(['tree', *rules], rows)}\n\n{HOW}")
    value = {
        tree: {rule: {**report.as_json(pair), "ratio": _ratio(pair)} for rule, pair in of.items()}
        for tree, of in measurements.items()
    }
    series = {rule: [_ratio(measurements[tree][rule]) for tree in trees] for rule in rules}
    panel = report.Panel(
        "the same arrays", "time of our update, ratio to optax", trees, series, at=1.0
    )
    print(report.write(out, here, "same_update", {"how": HOW, "trees": value}, [panel]))


def _ratio(pair: dict[str, Measured]) -> Spread | None:
    return ratio(pair["ours"], pair["optax"])


def measure(
    trees: Sequence[str], rules: Sequence[str], rounds: int
) -> dict[str, dict[str, dict[str, Measured]]]:
    """[tree][rule]: the seconds of our update and of optax's."""
    measurements: dict[str, dict[str, dict[str, Measured]]] = {}
    with tqdm(total=len(trees) * len(rules), leave=False, disable=None, unit="run") as bar:
        for tree in trees:
            for rule in rules:
                bar.set_description_str(f"{tree}, {rule}")
                command = ["-m", "benchmarks.contestants.same_arrays", rule, tree, str(rounds)]
                taken = json.loads(timed_process(command, {}).printed)
                pair = {name: Measured({"seconds": taken[name]}) for name in ("ours", "optax")}
                measurements.setdefault(tree, {})[rule] = pair
                bar.update()
    return measurements


if __name__ == "__main__":
    run_as_process(main)
