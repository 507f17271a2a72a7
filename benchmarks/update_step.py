"""`python -m benchmarks.update_step`: times the optimizer alone, on six trees, beside its peers."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, choose, guarded, out_folder, whole_number
from benchmarks.contestants.trees import BYTES, TREES, elements
from benchmarks.harness import Contestant, Measured, Spread, race, ratio
from jaxopt_notes.command import run_as_process

_JAX = "benchmarks.contestants.update_jax"
_TORCH = "benchmarks.contestants.update_torch:update"

ONE_LOOP = "ours one loop"  # by an XLA option for CPUs
_FUSION = "xla_cpu_use_multi_output_fusion"
BASELINE = "optax"
FUSED = "torch fused"
FLOOR = "memory floor"
PASSED_ON = "arrays passed on"
CONTESTANTS: dict[str, Contestant] = {
    PASSED_ON: Contestant(f"{_JAX}:passing"),  # the first process often gets slower memory
    FLOOR: Contestant(f"{_JAX}:floor"),
    "ours": Contestant(f"{_JAX}:update", {"kind": "ours"}),
    "ours packed": Contestant(f"{_JAX}:update", {"kind": "packed"}),
    ONE_LOOP: Contestant(
        f"{_JAX}:update",
        {"kind": "one loop"},
        environment={"XLA_FLAGS": f"--xla_backend_extra_options={_FUSION}"},
    ),
    BASELINE: Contestant(f"{_JAX}:update", {"kind": "optax"}),
    FUSED: Contestant(_TORCH, {"form": "fused"}, needs="torch"),
    "torch foreach": Contestant(_TORCH, {"form": "foreach"}, needs="torch"),
}
QUICK_TREES = "cnn,mlp-10m,1000-leaves"
QUICK_RULES = "sgd-momentum,adam"
PER_PARAMETER = 20  # bytes that a contestant holds: parameter, gradient, two slots, and a reserve
COLUMNS = (
    "contestant",
    "ms",
    "/ optax",
    "/ floor",
    "/ torch fused",
    "GB/s",
    "trace ms",
    "/ optax",
    "compile ms",
    "/ optax",
    "temporary MB",
    "page faults",
)
HOW = (
    "One jit updates and applies, in float32, with parameters and state donated. Each "
    "contestant runs in several processes of its own, because its time depends on where its "
    "arrays lie in memory; the processes take turns. Medians (quartiles) over the rounds; ratios "
    "of medians (quartiles of each round's ratio). The memory floor is x · c in place: it moves "
    "as many bytes as the rule must, in pieces of the fastest size. trace: tracing and lowering; "
    "each process traces and compiles --builds times."
)
Results = dict[str, dict[str, dict[str, Measured]]]  # [tree][rule][contestant]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser("update_step", "Time an optimizer's update by itself.")
    parser.add_argument(
        "--trees",
        metavar="NAME,…",
        help=f"trees to measure: {', '.join(TREES)} (default: all; --quick: {QUICK_TREES})",
    )
    parser.add_argument(
        "--rules",
        metavar="NAME,…",
        help=f"rules to measure: {', '.join(BYTES)} (default: all; --quick: {QUICK_RULES})",
    )
    parser.add_argument(
        "--contestants",
        metavar="NAME,…",
        help=f"contestants to measure: {', '.join(CONTESTANTS)} (default: all)",
    )
    parser.add_argument(
        "--starts",
        type=int,
        metavar="N",
        help="processes of each contestant (default: 3; --quick: 1)",
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="rounds of each process (default: 4; --quick: 3)"
    )
    parser.add_argument(
        "--builds",
        type=int,
        metavar="N",
        help="tracings and compilations in each process (default: 3; --quick: 1)",
    )
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    out, quick = out_folder(args), args.quick
    trees = choose("--trees", args.trees or (QUICK_TREES if quick else None), list(TREES))
    rules = choose("--rules", args.rules or (QUICK_RULES if quick else None), list(BYTES))
    starts, rounds, builds = args.starts, args.rounds, args.builds
    starts = whole_number("--starts", (1 if quick else 3) if starts is None else starts)
    rounds = whole_number("--rounds", (3 if quick else 4) if rounds is None else rounds)
    builds = whole_number("--builds", (1 if quick else 3) if builds is None else builds, least=0)
    here = machine.facts()
    on_gpu = here["device"]["platform"] == "gpu"
    able = [name for name in CONTESTANTS if not (on_gpu and name == ONE_LOOP)]
    names = choose("--contestants", args.contestants, able)
    print(machine.header(here))
    results: Results = {}
    skipped: dict[str, str] = {}
    written = ""
    for tree in trees:
        if reason := too_large(tree, len(names)):
            skipped[tree] = reason
            print(f"\n{tree} was skipped: {reason}")
            continue
        for rule in rules:
            everyone = _contestants(names, rule, tree, here["device"]["platform"])
            seconds = 0.1 if quick else 0.4
            title = f"{tree}, {rule}"
            measurements = race(everyone, rounds, seconds, builds, starts, title, together=on_gpu)
            results.setdefault(tree, {})[rule] = measurements
            print(f"\n{tree} ({elements(tree):,} in {len(TREES[tree]())} leaves), {rule}")
            print(
                table(measurements, elements(tree) * BYTES[rule]),
                *report.absences(measurements),
                sep="\n",
            )
            written = _write(out, here, results, skipped)  # after each rule: a run may be cut short
    print(f"\n{HOW}\n{written or 'nothing was measured'}")


def _write(out: Path, here: dict[str, Any], results: Results, skipped: dict[str, str]) -> str:
    value = {
        "how": HOW,
        "skipped": skipped,
        "trees": {
            tree: {rule: summary(measurements) for rule, measurements in of.items()}
            for tree, of in results.items()
        },
    }
    return report.write(out, here, "update_step", value, panels(results))


def too_large(tree: str, contestants: int) -> str:
    """Why the contestants cannot all hold the tree at once; empty if they can."""
    free, needed = machine.free_bytes(), contestants * elements(tree) * PER_PARAMETER
    if free is None or needed <= free:
        return ""
    return (
        f"its {contestants} processes need about {needed / 1e9:.0f} GB, and {free / 1e9:.0f} GB "
        "are free; take fewer --contestants"
    )


def _contestants(
    names: Sequence[str], rule: str, tree: str, platform: str
) -> dict[str, Contestant]:
    by_name = {}
    for name in names:
        contestant = CONTESTANTS[name]
        settings = {**contestant.settings, "rule": rule, "tree": tree}
        if contestant.needs == "torch":
            settings["platform"] = platform
        by_name[name] = replace(contestant, settings=settings)
    return by_name


def ratios(m: Measured, measurements: dict[str, Measured]) -> dict[str, Spread | None]:
    """The ratios in the table and the JSON."""
    optax = measurements.get(BASELINE)
    return {
        "run_to_optax": ratio(m, optax),
        "run_to_floor": ratio(m, measurements.get(FLOOR)),
        "run_to_torch_fused": ratio(m, measurements.get(FUSED)),
        "trace_to_optax": ratio(m, optax, "trace_seconds"),
        "compile_to_optax": ratio(m, optax, "compile_seconds"),
    }


def table(measurements: dict[str, Measured], moved: int) -> str:
    """A table of one rule on one tree; the rule must move `moved` bytes."""
    rows = []
    for name, m in measurements.items():
        time = m.spread()
        if time is None:
            continue
        to = {key: report.between(value) for key, value in ratios(m, measurements).items()}
        trace, compiling, faults = map(m.spread, ("trace_seconds", "compile_seconds", "faults"))
        memory = m.facts.get("temporary_bytes")
        speed = None if name == PASSED_ON else moved / time.median / 1e9
        rows.append(
            [
                name,
                report.between(time.times(1e3)),
                *(to["run_to_optax"], to["run_to_floor"], to["run_to_torch_fused"]),
                report.number(speed),
                report.number(trace and trace.median * 1e3),
                to["trace_to_optax"],
                report.number(compiling and compiling.median * 1e3),
                to["compile_to_optax"],
                report.number(None if memory is None else memory / 1e6),
                report.number(faults and faults.median),
            ]
        )
    return report.table(COLUMNS, rows)


def summary(measurements: dict[str, Measured]) -> dict[str, Any]:
    """The results of one rule on one tree as a JSON value."""
    value = report.as_json(measurements)
    for name, m in measurements.items():
        value[name] |= ratios(m, measurements)
    return value


def panels(results: Results) -> list[report.Panel]:
    """A diagram for each tree: each rule's time divided by optax's."""
    drawn = []
    for tree, of in results.items():
        names = dict.fromkeys(
            name
            for measurements in of.values()
            for name in measurements
            if name not in (BASELINE, PASSED_ON)
        )
        series = {
            name: [
                ratio(measurements[name], measurements.get(BASELINE))
                for measurements in of.values()
            ]
            for name in names
        }
        axis = "time of an update, ratio to optax"
        drawn.append(report.Panel(tree, axis, list(of), series, logarithmic=True, at=1.0))
    return drawn


if __name__ == "__main__":
    run_as_process(main)
