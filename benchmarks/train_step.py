"""`python -m benchmarks.train_step`: times a training step of the notes' CNN beside its peers."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder, whole_number
from benchmarks.harness import Contestant, Measured, quickest, race, ratio
from jaxopt_notes.command import run_as_process
from jaxopt_notes.errors import InputError

BATCHES = (32, 128, 1024)
# Multiplications and additions of the notes' CNN for one image: two 3×3 convolutions and two dense
# layers; forward, and backward for weights and inputs, except for the gradient of the images.
_FIRST = 2 * 28 * 28 * 9 * 32
_OTHERS = 2 * (14 * 14 * 9 * 32 * 64 + 3136 * 128 + 128 * 10)
FLOP_PER_IMAGE = 2 * _FIRST + 3 * _OTHERS
LARGEST = 10_000  # images in mnist-12k's training set
OFFICIAL = "flax nnx, official manner"
_JAX = "benchmarks.contestants.step_jax"

CONTESTANTS: dict[str, Contestant] = {
    "ours": Contestant(f"{_JAX}:ours_driven"),
    "ours, watched": Contestant(f"{_JAX}:ours_driven", {"watched": True}),
    "ours, one device": Contestant(f"{_JAX}:ours_driven", {"devices": 1}),
    "ours, single steps": Contestant(f"{_JAX}:ours_single"),
    OFFICIAL: Contestant(f"{_JAX}:flax_nnx"),
    "flax linen, TrainState": Contestant(f"{_JAX}:flax_linen"),
}
_TORCH = "benchmarks.contestants.step_torch:step"
TORCH: dict[str, Contestant] = {
    f"torch {'compiled' if compiled else 'eager'}, {'channels last' if last else 'contiguous'}": (
        Contestant(_TORCH, {"compiled": compiled, "channels_last": last}, needs="torch")
    )
    for compiled in (False, True)
    for last in (False, True)
}
# Idle threads sleep at once instead of spinning for a moment, which is faster on busy cores.
TORCH["torch eager, channels last, passive wait"] = replace(
    TORCH["torch eager, channels last"], environment={"OMP_WAIT_POLICY": "PASSIVE"}
)
# An accelerator multiplies float32 as TF32 or as float32: in JAX by default, in torch by flags.
_ROUNDED = {True: "TF32", False: "float32"}
ON_GPU: dict[str, Contestant] = {
    **{
        name: replace(CONTESTANTS[name], tunes=True)
        for name in ("ours", "ours, single steps", OFFICIAL, "flax linen, TrainState")
    },
    "ours, float32": replace(
        CONTESTANTS["ours"], environment={"JAX_DEFAULT_MATMUL_PRECISION": "highest"}, tunes=True
    ),
}
TORCH_ON_GPU: dict[str, Contestant] = {
    f"{name}, {_ROUNDED[tf32]}": replace(
        TORCH[name], settings={**TORCH[name].settings, "tf32": tf32}
    )
    for name in (
        "torch eager, contiguous",
        "torch eager, channels last",
        "torch compiled, channels last",
    )
    for tf32 in (True, False)
}
HOW = (
    "One step on real digits: loss, gradient, Adam and metrics. Each contestant runs in its "
    "own process, and the processes take turns. Medians (quartiles) over the rounds; ratios of "
    "medians (quartiles of each round's ratio). On a GPU, JAX multiplies in TF32 unless the name "
    "says float32."
)

Results = dict[int, dict[str, Measured]]  # [batch][contestant]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser("train_step", "Time one training step of the notes' CNN.")
    parser.add_argument(
        "--batch", metavar="N,…", help="batch sizes (default: 32,128,1024; --quick: 128)"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="rounds in which each is timed (default: 15; --quick: 3)",
    )
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    out = out_folder(args)
    batches = _batches(args.batch or ("128" if args.quick else ",".join(map(str, BATCHES))))
    rounds = args.rounds
    rounds = whole_number("--rounds", (3 if args.quick else 15) if rounds is None else rounds)
    here = machine.facts()
    print(machine.header(here))
    platform = here["device"]["platform"]
    on_gpu = platform == "gpu"
    results: Results = {}
    for batch in batches:
        measurements = race(
            contestants(batch, platform, compiled=not args.quick),
            rounds,
            seconds=0.3 if args.quick or on_gpu else 1.0,
            title=f"batch {batch}",
            together=on_gpu,
        )
        results[batch] = measurements
        print(
            f"\nbatch {batch}\n{table(measurements)}",
            *report.absences(measurements),
            sep="\n",
            flush=True,
        )
        written = _write(out, here, results)  # after each batch size: a run may be cut short
    if args.quick:
        print("\n--quick leaves out torch.compile")
    print(f"\n{HOW}\n{written}")


def _write(out: Path, here: dict[str, Any], results: Results) -> str:
    value = {
        "how": HOW,
        "flop_per_image": FLOP_PER_IMAGE,
        "batches": {str(batch): summary(measurements) for batch, measurements in results.items()},
    }
    return report.write(out, here, "train_step", value, panels(results))


def _batches(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(1 <= size <= LARGEST for size in sizes):
        raise InputError(
            f"--batch {text}: is not a list of batch sizes; pass whole numbers from 1 to "
            f"{LARGEST}, such as 32,128"
        )
    return sizes


def contestants(batch: int, platform: str, compiled: bool) -> dict[str, Contestant]:
    """The contestants on a platform, with or without `torch.compile`."""
    everyone = {**CONTESTANTS, **TORCH} if platform != "gpu" else {**ON_GPU, **TORCH_ON_GPU}
    by_name = {}
    for name, contestant in everyone.items():
        settings = {**contestant.settings, "batch": batch}
        if contestant.needs == "torch":
            settings["platform"] = platform
        if compiled or not settings.get("compiled"):
            by_name[name] = replace(contestant, settings=settings)
    return by_name


def table(measurements: dict[str, Measured]) -> str:
    """A table of one batch size."""
    best_torch = quickest(measurements, [*TORCH, *TORCH_ON_GPU])
    rows = []
    for name, m in measurements.items():
        if m.absent:
            continue
        time, memory, call = m.spread(), m.facts.get("temporary_bytes"), m.facts.get(CALL)
        rows.append(
            [
                name,
                report.between(time and time.times(1e3)),
                report.between(ratio(m, measurements.get(OFFICIAL))),
                report.between(ratio(m, best_torch)),
                report.number(memory and memory / 1e6),
                report.number(m.spread("faults").median),  # type: ignore[union-attr]
                report.number(call and call * 1e3),
                report.number(m.facts.get("build_seconds")),
            ]
        )
    return report.table(COLUMNS, rows)


CALL = "call_overhead_seconds"
COLUMNS = (
    "contestant",
    "ms a step",
    "/ official",
    "/ best torch",
    "temporary MB",
    "page faults",
    "call overhead ms",
    "build s",
)


def summary(measurements: dict[str, Measured]) -> dict[str, Any]:
    """The results of one batch size as a JSON value."""
    best_torch = quickest(measurements, [*TORCH, *TORCH_ON_GPU])
    value = report.as_json(measurements)
    for name, m in measurements.items():
        value[name]["ratio_to_official"] = ratio(m, measurements.get(OFFICIAL))
        value[name]["ratio_to_best_torch"] = ratio(m, best_torch)
    return value


def panels(results: dict[int, dict[str, Measured]]) -> list[report.Panel]:
    """A diagram for each batch size."""
    drawn = []
    for batch, measurements in results.items():
        there = {name: m.spread() for name, m in measurements.items() if not m.absent}
        values = [time and time.times(1e3) for time in there.values()]
        drawn.append(report.Panel(f"batch {batch}", "ms a step", list(there), {"": values}))
    return drawn


if __name__ == "__main__":
    run_as_process(main)
