"""`python -m benchmarks.kernels`: the device's work in ten steps of `train`, from a profile."""

import argparse
import collections
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder
from benchmarks.harness import Spread
from benchmarks.processes import Failed, timed_process
from jaxopt_notes.command import run_as_process
from jaxopt_notes.errors import InputError

STEPS = 10  # as many as `train --profile` traces
SHOWN = 15
HOW = (
    f"`train --profile` traces {STEPS} steps. The events are those of the device's streams (on "
    "a CPU: of XLA's threads). Busy: the share of the time between the first and the last event "
    "in which at least one event runs."
)


class Event(NamedTuple):
    """A kernel or copy that the device ran; times in nanoseconds."""

    name: str
    start: float
    end: float


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser("kernels", "Count and time the kernels of ten training steps.")
    parser.add_argument("--batch", type=int, default=128, metavar="N", help="(default: 128)")
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    out, here = out_folder(args), machine.facts()
    print(machine.header(here))
    network = ["--model", "mlp"] if args.quick else []
    command = ["-m", "jaxopt_notes.train", "--dataset", "mnist-12k", "--epochs", "1", "--profile"]
    command += ["--batch-size", str(args.batch), "--quiet", *network]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        try:
            timed_process([*command, "--out", str(run)], {})
        except Failed as reason:
            raise InputError(f"benchmarks.kernels: train {reason}") from None
        events = read(run / "profile")
    if not events:
        raise InputError("benchmarks.kernels: the profile has no event of the device")
    totals = summary(events)
    print(
        f"\n{totals['events_a_step']:.1f} events a step, {totals['microseconds_a_step']:.1f} µs a "
        f"step from first to last, busy {totals['busy']:.0%}\n\n{table(totals)}\n\n{HOW}"
    )
    value = {"how": HOW, "batch": args.batch, **totals}
    rows = {row["name"]: row["microseconds_a_step"] for row in totals["by_name"][:SHOWN]}
    series = [Spread(x, x, x) for x in rows.values()]
    panel = report.Panel("by name", "µs a step", [name[:40] for name in rows], {"": series})
    print(report.write(out, here, "kernels", value, [panel]))


def read(folder: Path) -> list[Event]:
    """The device's events in the newest profile of a folder."""
    from jax.profiler import ProfileData

    files = sorted(folder.rglob("*.xplane.pb"), key=os.path.getmtime)
    if not files:
        return []
    planes = list(ProfileData.from_file(str(files[-1])).planes)
    device = [line for plane in planes if plane.name.startswith("/device:") for line in plane.lines]
    streams = [line for line in device if line.name.startswith("Stream")]
    host = [
        line
        for plane in planes
        if plane.name.startswith("/host:CPU")
        for line in plane.lines
        if "XLA" in line.name
    ]
    return [
        Event(event.name, event.start_ns, event.start_ns + event.duration_ns)
        for line in streams or device or host
        for event in line.events
        if event.duration_ns > 0
    ]


def summary(events: Sequence[Event]) -> dict[str, Any]:
    """Events and microseconds per step, in total and by name; the busy share of the time.

    >>> events = [Event("a", 0, 10_000), Event("b", 5_000, 20_000), Event("a", 40_000, 50_000)]
    >>> totals = summary(events)
    >>> totals["busy"], totals["by_name"][0]
    (0.6, {'name': 'a', 'events_a_step': 0.2, 'microseconds_a_step': 2.0})
    """
    counts = collections.Counter(event.name for event in events)
    times: collections.Counter[str] = collections.Counter()
    for event in events:
        times[event.name] += round(event.end - event.start)
    span = max(event.end for event in events) - min(event.start for event in events)
    return {
        "events_a_step": len(events) / STEPS,
        "microseconds_a_step": span / STEPS / 1e3,
        "busy": _covered(events) / span,
        "by_name": [
            {
                "name": name,
                "events_a_step": counts[name] / STEPS,
                "microseconds_a_step": total / STEPS / 1e3,
            }
            for name, total in times.most_common()
        ],
    }


def _covered(events: Iterable[Event]) -> float:
    covered, until = 0.0, float("-inf")
    for event in sorted(events, key=lambda each: each.start):
        covered += max(0.0, event.end - max(event.start, until))
        until = max(until, event.end)
    return covered


def table(totals: dict[str, Any]) -> str:
    """A table with a row for each of the longest events."""
    rows = [
        [
            row["name"][:60],
            report.number(row["events_a_step"]),
            report.number(row["microseconds_a_step"]),
        ]
        for row in totals["by_name"][:SHOWN]
    ]
    return report.table(["event", "a step", "µs a step"], rows)


if __name__ == "__main__":
    run_as_process(main)
