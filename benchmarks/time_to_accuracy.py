"""`python -m benchmarks.time_to_accuracy`: times trainings on MNIST by a recipe fixed in advance.

Without options it times whole processes; with `--validate` it measures the recipe's accuracy.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder, whole_number
from benchmarks.contestants.recipe import EARLIER, RECIPE, Recipe, changed, written
from benchmarks.harness import Measured, missing, ratio
from benchmarks.processes import Failed, timed_process
from benchmarks.recipe_accuracy import validate
from jaxopt_notes.command import run_as_process
from jaxopt_notes.data import load
from jaxopt_notes.errors import InputError
from jaxopt_notes.places import Place


class Run(NamedTuple):
    """A process to time.

    Attributes:
      script: its module among the contestants.
      official: the name of the official tutorial's run, which it is compared with.
      needs: the package that it needs besides ours.
    """

    script: str
    official: str = ""
    needs: str = ""


TORCH = "torch"
OFFICIAL = "flax nnx, official manner"
# A warm process finds the programs that the cold process above it compiled in the same round.
RUNS = {
    TORCH: Run("mnist_torch", f"{OFFICIAL}, cold", needs="torch"),
    f"{OFFICIAL}, cold": Run("mnist_flax"),
    f"{OFFICIAL}, warm": Run("mnist_flax"),
    "ours, cold": Run("mnist_ours", f"{OFFICIAL}, cold"),
    "ours, warm": Run("mnist_ours", f"{OFFICIAL}, warm"),
}
COLUMNS = (
    "process",
    "median s",
    "worst s",
    "/ official",
    "/ torch",
    "mean accuracy",
    "lowest accuracy",
)
QUICK_IMAGES = 6_400
HOW = (
    "Wall-clock time of a whole process: imports, data, compilation, training on a fixed "
    "number of images, one evaluation on the test set. All contestants use the same network, "
    "recipe and order of the images. cold: no compiled programs from earlier; warm: with the "
    "programs that the cold process of the same round compiled (the official manner keeps them "
    "through JAX_COMPILATION_CACHE_DIR). torch compiles nothing and is compared with both; the "
    "official manner is compared cold with cold and warm with warm. The processes take turns; "
    "each round has its own random seed. Ratios of medians (quartiles of each round's ratio)."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser(
        "time_to_accuracy", "Train MNIST with one recipe that was fixed in advance."
    )
    parser.add_argument(
        "--validate",
        action="store_true",
        help="measure the recipe's accuracy over many random seeds, instead of the time",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="random seeds of --validate (default: 30; --quick: 3)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="timed runs of each contestant (default: 10; --quick: 1)",
    )
    parser.add_argument(
        "--try",
        nargs="+",
        default=[],
        dest="changes",
        metavar="KEY=VALUE",
        help=f"change the recipe; nothing is written. Keys: {', '.join(RECIPE._fields)}",
    )
    parser.add_argument(
        "--target",
        type=float,
        default=0.99,
        metavar="X",
        help="target accuracy of --validate (default: 0.99)",
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
    out, quick = out_folder(args), args.quick
    if not 0 < args.target <= 1:
        raise InputError(
            f"--target {args.target}: is out of range; pass a share above 0 and up to 1, such as "
            "0.99"
        )
    seeds = (3 if quick else 30) if args.seeds is None else args.seeds
    rounds = (1 if quick else 10) if args.rounds is None else args.rounds
    seeds, rounds = whole_number("--seeds", seeds, least=2), whole_number("--rounds", rounds)
    recipe, earlier = (
        each._replace(images=QUICK_IMAGES) if quick else each for each in (RECIPE, EARLIER)
    )
    recipes = {"fixed": recipe, "earlier": earlier}
    if args.changes:
        recipe = changed(recipe, args.changes)
        recipes = {" ".join(args.changes): recipe}
    dataset = args.dataset or ("mnist-12k" if quick else "mnist")
    data = load(dataset, args.data_dir)  # fills the cache of decoded data
    tried = None if args.changes else out
    if args.validate:
        return validate(recipes, data, args.target, seeds, tried)
    options = ["--dataset", dataset]
    options += ["--data-dir", args.data_dir] if args.data_dir else []
    options += ["--try", *written(recipe)]
    _time(recipe, options, rounds, dataset, tried)


def _time(
    recipe: Recipe, options: Sequence[str], rounds: int, dataset: str, out: Path | None
) -> None:
    here = machine.facts()
    print(machine.header(here))
    title = f"a whole run, {recipe.images:,} images of {dataset}"
    written = ""
    for measurements in measure(options, rounds):  # write after each round: a run may be cut short
        if out is not None:
            written = _write(out, here, recipe, dataset, title, measurements)
    print(f"\n{title}\n{table(measurements)}", *report.absences(measurements), sep="\n")
    print(f"\n{HOW}" + (f"\n{written}" if written else ""))


def _write(
    out: Path,
    here: dict[str, Any],
    recipe: Recipe,
    dataset: str,
    title: str,
    measurements: dict[str, Measured],
) -> str:
    value = {
        "how": HOW,
        "dataset": dataset,
        "recipe": recipe._asdict(),
        "processes": summary(measurements),
    }
    there = {name: m.spread() for name, m in measurements.items() if m.samples}
    panel = report.Panel(title, "seconds", list(there), {"": list(there.values())})
    return report.write(out, here, "time_to_accuracy", value, [panel])


def measure(options: Sequence[str], rounds: int) -> Iterator[dict[str, Measured]]:
    """Starts each process once per round; after each round yields all measurements so far.

    Every round has a new folder of compiled programs.
    """
    measurements = {name: Measured(absent=missing(run.needs)) for name, run in RUNS.items()}
    with tqdm(total=rounds * len(RUNS), leave=False, disable=None, unit="run") as bar:
        for seed in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                for name, run in RUNS.items():
                    bar.set_description_str(f"round {seed + 1}: {name}")
                    if not measurements[name].absent:
                        arguments = [*options, "--seed", str(seed)]
                        _one(measurements[name], run.script, arguments, f"{folder}/{run.script}")
                    bar.update()
            yield measurements


def _one(m: Measured, script: str, arguments: Sequence[str], cache: str) -> None:
    environment = {"JAX_ENABLE_COMPILATION_CACHE": "true", "JAX_COMPILATION_CACHE_DIR": cache}
    command = ["-m", f"benchmarks.contestants.{script}", *arguments, "--compilation-cache", cache]
    try:
        done = timed_process(command, environment)
    except Failed as reason:
        m.absent = str(reason)
        return
    accuracy = json.loads(done.printed.splitlines()[-1])["accuracy"]
    m.add({"seconds": done.seconds, "accuracy": accuracy})


def table(measurements: dict[str, Measured]) -> str:
    """A table with a row for each process."""
    rows = []
    for name, m in measurements.items():
        if m.absent:
            continue
        rows.append(
            [
                name,
                report.between(m.spread()),
                report.number(max(m.samples["seconds"])),
                report.between(ratio(m, measurements.get(RUNS[name].official))),
                report.between(ratio(m, measurements.get(TORCH))),
                f"{statistics.mean(m.samples['accuracy']):.2%}",
                f"{min(m.samples['accuracy']):.2%}",
            ]
        )
    return report.table(COLUMNS, rows)


def summary(measurements: dict[str, Measured]) -> dict[str, Any]:
    """The results of all processes as a JSON value."""
    value = report.as_json(measurements)
    for name, m in measurements.items():
        value[name]["ratio_to_official"] = ratio(m, measurements.get(RUNS[name].official))
        value[name]["ratio_to_torch"] = ratio(m, measurements.get(TORCH))
    return value


if __name__ == "__main__":
    run_as_process(main)
