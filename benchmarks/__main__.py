"""`python -m benchmarks`: lists the benchmarks."""

import argparse
from collections.abc import Sequence

from benchmarks.command import guarded, one_line_parser
from jaxopt_notes.command import run_as_process

BENCHMARKS = {
    "train_step": "one training step of the CNN: ours, Flax NNX and Linen, torch at its best",
    "update_step": "the optimizer alone on six trees: ours, optax, torch, the memory floor",
    "same_update": "our update and optax's by turns on the same arrays: is ours slower?",
    "time_to_accuracy": "whole processes from start to 99.0% of MNIST's test set",
    "start_up": "--help, import, and process start to first step done, first and second run",
    "soak": "the memory of a training run that goes on for an hour",
    "many_devices": "collectives and memory per device in the programs of a shared step",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each benchmark; returns the exit code."""
    parser = one_line_parser("benchmarks", "List the benchmarks; run one as benchmarks.NAME.")
    return guarded(parser, argv, _list)


def _list(_: argparse.Namespace) -> None:
    for name, line in BENCHMARKS.items():
        print(f"python -m benchmarks.{name:<16}  {line}")
    print("\nEach takes --quick for a short look, --out DIR, and --help for the rest.")


if __name__ == "__main__":
    run_as_process(main)
