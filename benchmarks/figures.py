"""The headline figures of the results, side by side for several machines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import report

# [benchmark]: the name of a figure, and its path in the benchmark's JSON.
FIGURES: dict[str, dict[str, Sequence[str | int]]] = {
    "train_step": {
        "one training step, batch 128, ours / flax's official manner": (
            *("batches", "128", "ours", "ratio_to_official", 0),
        ),
        "… ours / torch at its best": ("batches", "128", "ours", "ratio_to_best_torch", 0),
    },
    "update_step": {
        "Adam's update, 10 M in 6 leaves, one loop / optax": (
            *("trees", "mlp-10m", "adam", "ours one loop", "run_to_optax", 0),
        ),
        "Adam's update, 1,000 leaves, packed / optax": (
            *("trees", "1000-leaves", "adam", "ours packed", "run_to_optax", 0),
        ),
        "… to trace and lower, as imported / optax": (
            *("trees", "1000-leaves", "adam", "ours", "trace_to_optax", 0),
        ),
    },
    "same_update": {
        "Adam's update of the CNN on the same arrays, as imported / optax": (
            *("trees", "cnn", "adam", "ratio", 0),
        ),
    },
    "time_to_accuracy": {
        "a whole training, ours cold, seconds": ("processes", "ours, cold", "seconds_median"),
        "… ours cold / torch": ("processes", "ours, cold", "ratio_to_torch", 0),
        "… ours cold / flax's official manner cold": (
            *("processes", "ours, cold", "ratio_to_official", 0),
        ),
        "… ours warm / torch": ("processes", "ours, warm", "ratio_to_torch", 0),
        "… images seen": ("recipe", "images"),
    },
    "recipe_accuracy": {
        "mean accuracy of the recipe, validation set": ("recipes", 0, "mean"),
        "… test set": ("recipes", 1, "mean"),
        "… images seen": ("recipes", 0, "recipe", "images"),
    },
    "start_up": {
        "process start to the first step, ours, first run, seconds": (
            *("processes", "first step, ours: first run", "seconds_median"),
        ),
        "… second run, seconds": (
            *("processes", "first step, ours: second run", "seconds_median"),
        ),
        "… first run, ours / flax": ("processes", "first step, ours: first run", "ratio", 0),
        "… second run, ours / flax": ("processes", "first step, ours: second run", "ratio", 0),
    },
}


def side_by_side(folders: dict[str, Path], benchmarks: Sequence[str]) -> str:
    """A Markdown table: a row for each figure, a column for each folder of results."""
    rows = []
    for benchmark in benchmarks:
        values = {name: _read(folder / f"{benchmark}.json") for name, folder in folders.items()}
        for label, place in FIGURES.get(benchmark, {}).items():
            rows.append([label, *(_number(_at(value, place)) for value in values.values())])
    return report.table(["", *folders], rows)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _at(value: Any, place: Sequence[str | int]) -> Any:
    """The value at a path; None where there is none, because a contestant may be absent."""
    for key in place:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _number(value: float | None) -> str:
    """The text of a number; counts of images and accuracies keep all their digits.

    >>> _number(32000), _number(0.99021), _number(0.163)
    ('32,000', '0.9902', '0.163')
    """
    return report.number(value, 4 if value is not None and 0.9 <= value <= 1 else 3)
