"""The digits of the studies on networks: which train, which choose a setting, which judge it."""

import os
import zlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxopt_notes.data import default_data_dir, load
from jaxopt_notes.data.tfds import mnist_files, prepared
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.training.step import Batch, Normalization, normalization_of

KEPT_ASIDE = 1500
FOLDER = "JAXOPT_NOTES_MNIST"


class Deal(NamedTuple):
    """What trains, what chooses between trials (the validation set), what tests."""

    train: Batch
    held: Batch
    test: Batch
    normalize: Normalization


@cache
def deal(images: int, seed: int = 0, official: bool = False) -> Deal:
    """Deals mnist-12k's training images into training and validation images.

    Args:
      images: that train; KEPT_ASIDE others choose.
      seed: says which.
      official: tests on `official_test` where it is at hand; else on mnist-12k's 2,000.
    """
    data = load("mnist-12k")
    order = np.random.default_rng(seed).permutation(len(data.train_labels))
    training, held = order[KEPT_ASIDE:][:images], order[:KEPT_ASIDE]
    test = official_test() if official else None
    images_and_labels = test or (data.test_images, data.test_labels)

    def of(rows: np.ndarray) -> Batch:
        return Batch(jnp.asarray(data.train_images[rows]), jnp.asarray(data.train_labels[rows]))

    normalize = normalization_of(data.train_images[training])
    return Deal(of(training), of(held), Batch(*map(jnp.asarray, images_and_labels)), normalize)


def judges() -> str:
    """Which test set `official` means on this machine: its name, with its size."""
    return "mnist-12k, 2,000 images" if official_test() is None else "MNIST, 10,000 images"


@cache
def official_test() -> tuple[np.ndarray, np.ndarray] | None:
    """MNIST's 10,000 test images and labels, from $JAXOPT_NOTES_MNIST or as TFDS prepared them.

    None of the images that mnist-12k trains on is among them: those are from the training set.

    Raises:
      InputError: $JAXOPT_NOTES_MNIST is set, and its files cannot be read.
    """
    folder = os.environ.get(FOLDER)
    if folder:
        try:
            paths = [Path(folder).expanduser() / file for file in mnist_files.SPLITS["test"]]
            images, labels = map(mnist_files.read_idx, paths)
        except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
            raise InputError(
                f"{FOLDER}={folder}: MNIST's test files cannot be read ({first_line(error)}); "
                "give the folder of the four .gz files, or unset it"
            ) from None
        return images[..., None], labels.astype(np.int32)
    prepared_set = prepared.find(mnist_files.NAME, default_data_dir())
    if prepared_set is None:
        return None
    data = prepared.load(prepared_set, mnist_files.NAME)
    return data.test_images, data.test_labels
