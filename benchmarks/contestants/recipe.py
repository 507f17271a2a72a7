"""What the contestants of `time_to_accuracy` share: the recipe, the data, and how they report.

The recipe is one for all: Adam under one cycle of rates an epoch, He's initialisation, normalised
images. An epoch that misses the target is followed by another, from where it ended.
"""

import argparse
import json
import math
import time
from typing import NamedTuple

import numpy as np

from jaxopt_notes.data import Dataset, epoch_order, load

BATCH = 64
PEAK = 3e-3
B2 = 0.99
WARMUP = 0.25  # share of an epoch
EPOCHS = 5  # at most
EVAL_BATCH = 1000


class Task(NamedTuple):
    """What a contestant is asked to do: reach the target, or only take the first step."""

    data: Dataset
    seed: int
    target: float
    first_step_only: bool
    compilation_cache: str  # a folder, or "off"

    def order(self, epoch: int) -> np.ndarray:
        """The images of each step of an epoch, (steps, batch)."""
        return epoch_order(self.seed, epoch, len(self.data.train_labels), BATCH)


def task_from_options() -> Task:
    """Reads the options, and the data."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", type=float, default=0.99)
    parser.add_argument("--first-step-only", action="store_true")
    parser.add_argument("--compilation-cache", default="off")
    args = parser.parse_args()
    data = load(args.dataset, args.data_dir)
    return Task(data, args.seed, args.target, args.first_step_only, args.compilation_cache)


def normalized(images: np.ndarray, train_images: np.ndarray) -> np.ndarray:
    """uint8 images as float32, of the training set's mean 0 and deviation 1."""
    scale, shift = 1 / train_images.std(), train_images.mean()
    return ((images.astype(np.float32) - np.float32(shift)) * np.float32(scale)).astype(np.float32)


def rate(step: int, steps: int) -> float:
    """One cycle: up in a straight line, then down along half a cosine."""
    rising = round(WARMUP * steps)
    low, end = PEAK / 25, PEAK / 1e4
    if step < rising:
        return low + (PEAK - low) * step / rising
    falling = (step - rising) / (steps - rising)
    return end + (PEAK - end) * (1 + math.cos(math.pi * falling)) / 2


def report(accuracies: list[float]) -> None:
    """Says how the test accuracy stood after each epoch, and when all was done."""
    print(json.dumps({"accuracies": accuracies, "done": time.monotonic()}))
