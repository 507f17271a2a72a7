"""What a data set is here: arrays."""

from typing import NamedTuple

import numpy as np


class Dataset(NamedTuple):
    """An image-classification data set as plain arrays, split into training and test.

    Images are uint8 of shape (n, height, width, channels), channels 1 or 3; normalising happens on
    the device, inside the training step. Labels are int32 of shape (n,), in 0 … classes − 1.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    note: str = ""  # one plain line for the user, such as why this set was chosen; "" for none
