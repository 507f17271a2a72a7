"""The record of a data set: plain arrays."""

from typing import NamedTuple

import numpy as np

from jaxopt_notes.errors import InputError

SMALLEST = 4  # pixels a side: a smaller image cannot be pooled twice
TURNED = "turned upright by their EXIF orientation"  # in the note of a set with such photographs


class Dataset(NamedTuple):
    """An image-classification data set as plain arrays, split into training and test.

    Images are uint8 of shape (n, height, width, channels), with 1 or 3 channels; the training step
    normalises them on the device. Labels are int32 of shape (n,), in 0 … classes − 1.

    >>> from jaxopt_notes.data import load
    >>> data = load("mnist-12k")
    >>> data.test_images.shape, data.test_labels.dtype, len(data.class_names)
    ((2000, 28, 28, 1), dtype('int32'), 10)
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    note: str = ""  # one plain line for the user, such as why this set was chosen; "" for none


def check_classes(
    train: np.ndarray, test: np.ndarray, class_names: tuple[str, ...], name: str
) -> None:
    """Checks that there are several classes, and that training covers every class of the test set.

    Args:
      train: the training set's labels, within 0 … classes − 1.
      test: the test set's labels.
      class_names: the classes' names.
      name: the data set as the user wrote it.

    Raises:
      InputError: there is only one class, or the training set lacks a class of the test set.
    """
    if len(class_names) < 2:
        raise InputError(f"dataset={name!r}: one class, {class_names[0]!r}; add another class")
    unknown = np.setdiff1d(test, train)
    if unknown.size:
        raise InputError(
            f"dataset={name!r}: class {class_names[unknown[0]]!r} is in the test set but not in "
            "the training set; add it there or take it out"
        )


def turned_since(before: str, now: str) -> bool:
    """Whether a folder's photographs are turned now but were not when the run began.

    Earlier versions ignored the EXIF orientation.

    Args:
      before: the data set's note when the run began.
      now: the data set's note now.
    """
    return TURNED in now and TURNED not in before
