"""Code that the contestants of `time_to_accuracy` share: the recipe, the data, and the report.

All contestants train the same network by the same recipe, which is fixed in advance: each run sees
a fixed number of images and is evaluated once, at its end.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.data import Dataset, epoch_order, load
from jaxopt_notes.errors import InputError, nearest

EVAL_BATCH = 1000


class Recipe(NamedTuple):
    """How the notes' CNN is trained: Adam over one cycle of the learning rate, He initialisation.

    Attributes:
      images: the number of images that a run sees, with repeats; drops the last, incomplete batch.
      batch: images per step.
      peak: the largest learning rate.
      b2: decay of the second moment; b1 is 0.9.
      nesterov: Nesterov's form of Adam.
      smoothing: label smoothing of the loss.
      zero_logits: the last layer's weights start from zero.
      warmup: share of the run in which the learning rate rises.
      linear: after the warm-up, the learning rate falls in a straight line, not along half a
        cosine.
      dense_rate: factor of the learning rate for the weights of the dense layers.
    """

    images: int
    batch: int
    peak: float
    b2: float
    nesterov: bool
    smoothing: float
    zero_logits: bool
    warmup: float
    linear: bool
    dense_rate: float

    @property
    def steps(self) -> int:
        """The number of steps in a run."""
        return self.images // self.batch


RECIPE = Recipe(32_000, 64, 2e-2, 0.98, True, 0.2, True, 0.2, True, 0.25)
EARLIER = Recipe(60_000, 64, 3e-3, 0.99, False, 0.0, False, 0.25, False, 1.0)  # of earlier results
INTERVALS = {  # of each number: lower end (included), upper end (excluded)
    "images": (1, math.inf),
    "batch": (1, math.inf),
    "peak": (1e-12, math.inf),
    "b2": (0, 1),
    "smoothing": (0, 1),
    "warmup": (0, 1),
    "dense_rate": (1e-12, math.inf),
}


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """The recipe with some values changed, each written KEY=VALUE.

    Raises:
      InputError: a key is unknown, or a value is of the wrong kind or out of its interval.

    >>> changed(RECIPE, ["images=28000", "peak=4e-3", "nesterov=false"])[:5]
    (28000, 64, 0.004, 0.98, False)
    """
    for change in changes:
        key, _, text = change.partition("=")
        if key not in Recipe._fields:
            near = nearest(key, Recipe._fields)
            hint = f"did you mean '{near}'?" if near else f"pass one of {', '.join(recipe._fields)}"
            raise InputError(f"--try {change}: '{key}' is unknown; {hint}")
        recipe = recipe._replace(**{key: _value(change, key, text)})
    if recipe.batch > recipe.images:
        raise InputError(
            f"--try batch={recipe.batch}: is more than the {recipe.images} images of the run; pass "
            "a smaller batch"
        )
    return recipe


def written(recipe: Recipe) -> list[str]:
    """The recipe as texts that `changed` reads.

    >>> written(RECIPE)[3:6]
    ['b2=0.98', 'nesterov=true', 'smoothing=0.2']
    """
    return [f"{key}={json.dumps(value)}" for key, value in recipe._asdict().items()]


def _value(change: str, key: str, text: str) -> Any:
    kind = type(getattr(RECIPE, key))
    if kind is bool:
        if text not in ("true", "false"):
            raise InputError(f"--try {change}: pass {key}=true or {key}=false")
        return text == "true"
    low, high = INTERVALS[key]
    try:
        value: float = kind(text)
    except ValueError:
        value = math.nan
    if not low <= value < high:
        what = "a whole number" if kind is int else "a number"
        span = f"from {low:g}" + (f" and below {high:g}" if high < math.inf else "")
        raise InputError(
            f"--try {change}: pass {what} {span}, such as {key}={getattr(RECIPE, key)}"
        )
    return value


class Task(NamedTuple):
    """The task of a contestant: a whole run, or only its first step."""

    data: Dataset
    recipe: Recipe
    seed: int
    first_step_only: bool
    compilation_cache: str  # a folder, or "off"


def task_from_options() -> Task:
    """Reads the options and the data."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--try", nargs="+", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--first-step-only", action="store_true")
    parser.add_argument("--compilation-cache", default="off")
    args = parser.parse_args()
    data, recipe = load(args.dataset, args.data_dir), changed(RECIPE, args.changes)
    return Task(data, recipe, args.seed, args.first_step_only, args.compilation_cache)


def order(recipe: Recipe, seed: int, size: int) -> np.ndarray:
    """The images of each step of a run, int32 (steps, batch), one epoch after the other.

    Args:
      recipe: sets the number of steps and of images per step.
      seed: the seed of the order.
      size: the number of images in the training set.
    """
    epochs = -(-recipe.steps // (size // recipe.batch))
    parts = [epoch_order(seed, epoch, size, recipe.batch) for epoch in range(epochs)]
    return np.concatenate(parts)[: recipe.steps]


def normalized(images: np.ndarray, train_images: np.ndarray) -> np.ndarray:
    """uint8 images as float32, scaled so that the training set has mean 0 and deviation 1."""
    scale, shift = 1 / train_images.std(), train_images.mean()
    return ((images.astype(np.float32) - np.float32(shift)) * np.float32(scale)).astype(np.float32)


def learning_rate(recipe: Recipe, step: int) -> float:
    """One cycle over the run: up in a straight line, down in a straight line or half a cosine."""
    rising = round(recipe.warmup * recipe.steps)
    low, end = recipe.peak / 25, recipe.peak / 1e4
    if step < rising:
        return low + (recipe.peak - low) * step / rising
    falling = (step - rising) / (recipe.steps - rising)
    left = 1 - falling if recipe.linear else (1 + math.cos(math.pi * falling)) / 2
    return end + (recipe.peak - end) * left


def report(accuracies: Sequence[float]) -> None:
    """Prints the test accuracy, if the run was evaluated, and the time at the end."""
    print(json.dumps({"accuracy": [*accuracies, None][0], "done": time.monotonic()}))
