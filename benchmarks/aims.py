"""The aims for a GPU's results, compared with the files that the benchmarks wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import report
from benchmarks.ceilings import COPY, FLOAT32, LAUNCH, TF32
from benchmarks.compiled_training import NAME as COMPILED

Results = dict[str, Any]  # [benchmark]: its JSON


class Aim(NamedTuple):
    """A figure and its aim; `read` raises LookupError where the figure was not measured.

    Attributes:
      line: the name of the figure.
      read: reads the figure from the results.
      least: whether `bound` is a minimum (True) or a maximum (False); None for no bound.
    """

    line: str
    read: Callable[[Results], float]
    bound: float | None = None
    least: bool = False


def _adam(tree: str, *path: str | int) -> Callable[[Results], float]:
    def read(results: Results) -> float:
        value = results["update_step"]["trees"][tree]["adam"]
        for part in path:
            value = value[part]
        return float(value)

    return read


def _share_of_copy(results: Results) -> float:
    return 1 / _adam("gpt2-small-like", "ours", "run_to_floor", 0)(results)


def _step(batch: int, name: str) -> Callable[[Results], float]:
    return lambda results: results["train_step"]["batches"][str(batch)]["ours"][name][0]


def _share_of_peak(batch: int, name: str, of: str) -> Callable[[Results], float]:
    """The step's FLOP a second, as a share of the largest matrix product's in the same run."""

    def read(results: Results) -> float:
        steps = results["train_step"]
        rate = (
            batch * steps["flop_per_image"] / steps["batches"][str(batch)][name]["seconds_median"]
        )
        return float(rate / results["ceilings"]["ceilings"][of]["rate_median"])

    return read


def _kernels_of_time(results: Results) -> float:
    """The time of a step in units of the smallest kernel's time."""
    step = results["train_step"]["batches"]["128"]["ours"]["seconds_median"]
    return float(step / results["ceilings"]["ceilings"][LAUNCH]["seconds_median"])


def _process(name: str, figure: str = "seconds_median") -> Callable[[Results], float]:
    return lambda results: results["time_to_accuracy"]["processes"][name][figure]


AIMS = (
    Aim(
        "Adam, 124 M float32 parameters: share of the bandwidth of a copy",
        _share_of_copy,
        0.92,
        True,
    ),
    Aim(
        "Adam, 1,000 leaves: ours / torch fused",
        _adam("1000-leaves", "ours", "run_to_torch_fused", 0),
        1.0,
    ),
    Aim(
        "Adam, 1,000 leaves: ours packed / torch fused",
        _adam("1000-leaves", "ours packed", "run_to_torch_fused", 0),
        1.0,
    ),
    Aim(
        "a training to 99.0 % in a process that has already compiled, seconds",
        lambda results: results["compiled_training"]["processes"][COMPILED]["seconds_median"],
        0.3,
    ),
    Aim("the whole process to 99.0 %, warm, seconds", _process("ours, warm"), 5.0),
    Aim("the whole process to 99.0 %, cold, seconds", _process("ours, cold")),
    *(
        Aim(f"a step, batch {batch:,}: ours / {what}", _step(batch, name))
        for batch in (128, 1024, 8192)
        for what, name in (
            ("official manner", "ratio_to_official"),
            ("torch at its best", "ratio_to_best_torch"),
        )
    ),
    *(
        Aim(
            f"a step, batch {batch:,}, {name}: share of the largest product's speed",
            _share_of_peak(batch, name, of),
        )
        for batch in (128, 1024, 8192)
        for name, of in (("ours", TF32), ("ours, float32", FLOAT32))
    ),
    Aim("a step of batch 128, in times of the smallest kernel", _kernels_of_time),
    Aim(
        "bandwidth of a copy, share of the data sheet's",
        lambda results: (
            results["ceilings"]["ceilings"][COPY]["rate_median"] / results["ceilings"]["peak"][0]
        ),
    ),
)


def read(folder: Path) -> Results:
    """All results in a machine's folder."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}


def table(results: Results) -> str:
    """A table with a row for each measured figure; empty if there is none."""
    rows = []
    for aim in AIMS:
        try:
            value = aim.read(results)
        except (LookupError, TypeError):  # not measured, or unknown for this card
            continue
        rows.append([aim.line, report.number(value), *_judged(aim, value)])
    return report.table(["figure", "measured", "aim", "reached"], rows) if rows else ""


def _judged(aim: Aim, value: float) -> tuple[str, str]:
    """The aim, and whether the value reaches it.

    >>> _judged(Aim("speed", lambda _: 0, 0.92, True), 0.9)
    ('≥ 0.920', 'no')
    """
    if aim.bound is None:
        return report.NOTHING, report.NOTHING
    reached = value >= aim.bound if aim.least else value <= aim.bound
    return f"{'≥' if aim.least else '≤'} {report.number(aim.bound)}", "yes" if reached else "no"
