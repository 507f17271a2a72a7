"""`python -m benchmarks --all`: runs every benchmark in turn, and writes one page about them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import machine, page
from benchmarks.command import RESULTS
from benchmarks.processes import Failed, timed_process


class Part(NamedTuple):
    """A benchmark to run.

    Attributes:
      line: what it measures.
      arguments: its module and options.
      quick_seconds: about how long its quick run takes on two cores.
      quick: options that shorten its quick run, so that all quick runs take under ten minutes.
    """

    line: str
    arguments: Sequence[str]
    quick_seconds: int
    quick: Sequence[str] = ()


PARTS = {
    "train_step": Part("one training step of the CNN", ["train_step"], 90),
    "update_step": Part(
        "an optimizer's update",
        ["update_step"],
        80,
        ["--trees", "mlp-10m,1000-leaves", "--rules", "adam"],
    ),
    "same_update": Part(
        "our update and optax's on the same arrays",
        ["same_update"],
        30,
        ["--rules", "sgd-momentum,adam"],
    ),
    "start_up": Part("the time to the first step", ["start_up"], 40),
    "time_to_accuracy": Part("time of whole trainings", ["time_to_accuracy"], 50),
    "recipe_accuracy": Part("the recipe's accuracy", ["time_to_accuracy", "--validate"], 40),
    "many_devices": Part("a step that several devices share", ["many_devices"], 30),
    "soak": Part("the memory of a long run", ["soak"], 70),
}


def measure(names: Sequence[str], quick: bool, out: Path) -> None:
    """Runs the benchmarks and rewrites the page after each; the page names those that fail."""
    here = machine.facts()
    print(machine.header(here))
    folder = out / machine.folder_name(here)
    sections: list[page.Section] = []
    for i, name in enumerate(names):
        left = _left(names[i:], quick)
        print(f"[{i + 1}/{len(names)}] {name} ({left})", flush=True)
        start = time.monotonic()
        sections.append(_run(name, quick, out))
        outcome = sections[-1].failed or f"done in {time.monotonic() - start:.0f} s"
        print(f"      {outcome}", flush=True)
        path = page.write(folder, here, sections, RESULTS, quick)
    print(f"{path} and .md")


def _left(names: Sequence[str], quick: bool) -> str:
    """Says what remains to be done; the first of `names` is running.

    >>> _left(["start_up", "many_devices", "soak"], quick=True)
    'about 2 min left; then many_devices, soak'
    >>> _left(["soak"], quick=False)
    'the last one'
    """
    minutes = max(1, round(sum(PARTS[name].quick_seconds for name in names) / 60))
    parts = [f"about {minutes} min left"] if quick else []
    parts += [f"then {', '.join(names[1:])}" if names[1:] else "the last one"]
    return "; ".join(parts)


def _run(name: str, quick: bool, out: Path) -> page.Section:
    part = PARTS[name]
    module, *options = part.arguments
    options += ["--quick", *part.quick] if quick else []
    section = page.Section(
        name, part.line, " ".join(["python -m", f"benchmarks.{module}", *options])
    )
    try:
        done = timed_process(["-m", f"benchmarks.{module}", *options, "--out", str(out)], {})
    except Failed as reason:
        return section._replace(failed=str(reason))
    return section._replace(printed=done.printed)
