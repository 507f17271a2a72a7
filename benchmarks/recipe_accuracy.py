"""`python -m benchmarks.time_to_accuracy --validate`: measures the recipe's accuracy."""

import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from benchmarks import machine, report
from benchmarks.contestants.recipe import Recipe
from benchmarks.harness import spread
from jaxopt_notes.data import Dataset

VALIDATION = "validation set"
TEST = "test set"
CONFIDENCE = 0.95
COLUMNS = (
    "recipe",
    "images seen",
    "measured on",
    "seeds",
    "mean",
    "standard deviation",
    "lower 95 % bound of the mean",
    "target",
)
HOW = (
    "Accuracy of our trainer after the given number of images. Each random seed decides the "
    "initial parameters and the order of the images. Validation set: the last sixth of the "
    "training images, on which the network is not trained. Test set: after training on all "
    "training images. The bound is one-sided, from Student's t distribution. The target is met if "
    "the bound on the validation set reaches it."
)


class Reached(NamedTuple):
    """The accuracies of a recipe on one data set, one for each seed."""

    name: str
    recipe: Recipe
    measured_on: str
    accuracies: list[float]


def validate(
    recipes: dict[str, Recipe], data: Dataset, target: float, seeds: int, out: Path | None
) -> None:
    """Measures, prints a table, and writes recipe_accuracy.json and .png.

    Args:
      recipes: recipes by name.
      data: the training set and the test set.
      target: the accuracy to compare with.
      seeds: the number of runs of each recipe on each set; at least 2.
      out: the folder of the results. None for trial recipes: then nothing is written, and the test
        set is not used, so that it does not guide the choice of a recipe.
    """
    here = machine.facts()
    print(machine.header(here))
    accuracies = list(measure(recipes, data, seeds, test=out is not None))
    print(f"\n{data.name}\n{table(accuracies, target)}\n\n{HOW}")
    if out is None:
        return
    series = {
        each: [spread(r.accuracies) for r in accuracies if r.measured_on == each]
        for each in (VALIDATION, TEST)
    }
    title = f"accuracy over {seeds} seeds, median and quartiles"
    panel = report.Panel(title, "share of the images", list(recipes), series, at=target)
    value = {
        "how": HOW,
        "dataset": data.name,
        "target": target,
        "recipes": summary(accuracies, target),
    }
    print(report.write(out, here, "recipe_accuracy", value, [panel]))


def measure(recipes: dict[str, Recipe], data: Dataset, seeds: int, test: bool) -> Iterator[Reached]:
    """Trains each recipe once per seed; measures on the validation set and maybe the test set."""
    from benchmarks.contestants.mnist_ours import accuracies  # imports JAX

    sets = {VALIDATION: held_out(data)} | ({TEST: data} if test else {})
    with tqdm(total=len(recipes) * len(sets) * seeds, leave=False, disable=None, unit="run") as bar:
        for name, recipe in recipes.items():
            for measured_on, each in sets.items():
                bar.set_description_str(f"{name}, {measured_on}")
                reached = []
                for accuracy in accuracies(recipe, each, range(seeds)):
                    reached.append(accuracy)
                    bar.update()
                yield Reached(name, recipe, measured_on, reached)


def held_out(data: Dataset) -> Dataset:
    """The training set without its last sixth; that sixth replaces the test set."""
    size = len(data.train_labels) - len(data.train_labels) // 6
    return data._replace(
        train_images=data.train_images[:size],
        train_labels=data.train_labels[:size],
        test_images=data.train_images[size:],
        test_labels=data.train_labels[size:],
    )


def lower_bound(values: Sequence[float]) -> float:
    """The lower bound of the mean at 95 % confidence (one-sided), by Student's t.

    >>> round(lower_bound([0.99, 0.992, 0.991]), 5)
    0.98931
    """
    from scipy.special import stdtrit  # JAX depends on scipy

    error = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values) - float(stdtrit(len(values) - 1, CONFIDENCE)) * error


def summary(accuracies: Sequence[Reached], target: float) -> list[dict[str, Any]]:
    """All rows as a JSON value."""
    return [
        {
            "name": name,
            "recipe": recipe._asdict(),
            "measured_on": measured_on,
            "mean": statistics.mean(values),
            "standard_deviation": statistics.stdev(values),
            "lower_bound": lower_bound(values),
            "meets_target": lower_bound(values) >= target if measured_on == VALIDATION else None,
            "accuracies": values,
        }
        for name, recipe, measured_on, values in accuracies
    ]


def table(accuracies: Sequence[Reached], target: float) -> str:
    """A table with a row for each recipe and set."""
    rows = []
    for name, recipe, measured_on, values in accuracies:
        met = "met" if lower_bound(values) >= target else "missed"
        rows.append(
            [
                name,
                f"{recipe.images:,}",
                measured_on,
                str(len(values)),
                f"{statistics.mean(values):.3%}",
                f"{statistics.stdev(values):.3%}",
                f"{lower_bound(values):.3%}",
                f"{target:.1%}: {met}" if measured_on == VALIDATION else report.NOTHING,
            ]
        )
    return report.table(COLUMNS, rows)
