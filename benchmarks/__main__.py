"""`python -m benchmarks`: lists the benchmarks, or runs all of them and writes a results page."""

import argparse
from collections.abc import Sequence

from benchmarks.command import choose, guarded, one_line_parser, out_folder
from benchmarks.everything import PARTS, measure
from jaxopt_notes.command import run_as_process
from jaxopt_notes.errors import InputError
from jaxopt_notes.places import Place

BENCHMARKS = {
    "train_step": "one training step of the CNN: ours, Flax NNX and Linen, torch at its best",
    "update_step": "an optimizer's update on six trees: ours, optax, torch, the memory floor",
    "same_update": "our update and optax's, alternating on the same arrays: is ours slower?",
    "time_to_accuracy": "whole MNIST trainings with one recipe; --validate: the recipe's accuracy",
    "start_up": "time for --help, for imports, and from process start to the end of the first step",
    "soak": "the memory of a training run of one hour",
    "compiled_training": "MNIST trainings with that recipe in a process that has already compiled",
    "ceilings": "the device's peak speed: copies, matrix products, kernel launches",
    "equality": "verify and the tests of optimizers and losses, run on this device",
    "whole_run": "train, kill, resume, predict and export on this device",
    "kernels": "the kernels that ten training steps run on the device, by name",
    "accelerator": "the benchmarks for a GPU, most important first, in a few minutes",
    "many_devices": "collectives and memory per device in a step that several devices share",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Lists or runs the benchmarks; returns the exit code."""
    parser = one_line_parser("benchmarks", "List the benchmarks, or run them with --all.")
    parser.add_argument(
        "--all",
        action="store_true",
        help="run every benchmark and write DEVICE/benchmarks.html and .md",
    )
    parser.add_argument("--quick", action="store_true", help="short runs (under ten minutes)")
    parser.add_argument(
        "--only",
        metavar="NAME,…",
        help=f"benchmarks that --all runs: {', '.join(PARTS)} (default: all)",
    )
    parser.add_argument(
        "--out",
        action=Place,
        metavar="DIR",
        help="folder for the results (default: benchmarks/results; --quick: runs/benchmarks)",
    )
    return guarded(parser, argv, _run, "stopped; the page holds the results so far")


def _run(args: argparse.Namespace) -> None:
    if args.all:
        measure(choose("--only", args.only, list(PARTS)), args.quick, out_folder(args))
        return
    for option in ("quick", "only", "out"):
        if getattr(args, option):
            raise InputError(f"--{option}: needs --all; add --all, or run one as benchmarks.NAME")
    for name, line in BENCHMARKS.items():
        print(f"python -m benchmarks.{name:<17}  {line}")
    print("\nEach takes --quick (a short run) and --out DIR; --help lists its other options.")
    print("python -m benchmarks --all --quick runs them all and writes one page.")


if __name__ == "__main__":
    run_as_process(main)
