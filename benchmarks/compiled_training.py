"""`python -m benchmarks.compiled_training`: times trainings by the recipe, without compilation.

`time_to_accuracy` times whole processes. This benchmark times what a process does once all programs
are compiled: initialise the parameters, order the images, take all steps, and evaluate once.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder, whole_number
from benchmarks.contestants.recipe import RECIPE, Recipe
from benchmarks.harness import Measured
from benchmarks.time_to_accuracy import QUICK_IMAGES
from jaxopt_notes.command import run_as_process
from jaxopt_notes.data import Dataset, load
from jaxopt_notes.places import Place

NAME = "ours, compiled before"
HOW = (
    "One process trains with the recipe of time_to_accuracy, once for each random seed. The "
    "first training compiles and is not counted. Each time covers initialising the parameters, "
    "shuffling the images, all steps and one evaluation on the test set."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser(
        "compiled_training", "Time trainings in a process that has already compiled."
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="number of trainings (default: 10; --quick: 2)"
    )
    parser.add_argument(
        "--dataset", metavar="NAME", help="data set (default: mnist; --quick: mnist-12k)"
    )
    parser.add_argument(
        "--data-dir",
        action=Place,
        metavar="DIR",
        help="folder of TFDS's data sets (default: ~/tensorflow_datasets)",
    )
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    out, seeds = out_folder(args), args.seeds
    seeds = whole_number("--seeds", (2 if args.quick else 10) if seeds is None else seeds)
    recipe = RECIPE._replace(images=QUICK_IMAGES) if args.quick else RECIPE
    data = load(args.dataset or ("mnist-12k" if args.quick else "mnist"), args.data_dir)
    here = machine.facts()
    print(machine.header(here))
    measurement = Measured()
    for seconds, accuracy in trainings(recipe, data, seeds):
        measurement.add({"seconds": seconds, "accuracy": accuracy})
    row = [
        NAME,
        report.between(measurement.spread()),
        report.number(max(measurement.samples["seconds"])),
    ]
    reached = measurement.samples["accuracy"]
    row += [f"{statistics.mean(reached):.2%}", f"{min(reached):.2%}"]
    title = f"a training, {recipe.images:,} images of {data.name}"
    columns = ["process", "median s", "worst s", "mean accuracy", "lowest accuracy"]
    print(f"\n{title}\n{report.table(columns, [row])}\n\n{HOW}")
    value = {"how": HOW, "dataset": data.name, "recipe": recipe._asdict()}
    value["processes"] = report.as_json({NAME: measurement})
    panel = report.Panel(title, "seconds", [NAME], {"": [measurement.spread()]})
    print(report.write(out, here, "compiled_training", value, [panel]))


def trainings(recipe: Recipe, data: Dataset, seeds: int) -> Iterator[tuple[float, float]]:
    """Seconds and accuracy of each training except the first one, which compiles."""
    from benchmarks.contestants import mnist_ours

    accuracies = mnist_ours.accuracies(recipe, data, range(seeds + 1))
    next(accuracies)
    start = time.perf_counter()
    for accuracy in accuracies:
        now = time.perf_counter()
        yield now - start, accuracy
        start = time.perf_counter()


if __name__ == "__main__":
    run_as_process(main)
