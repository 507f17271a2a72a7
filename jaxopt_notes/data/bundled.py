"""`mnist-12k`: the part of MNIST in this package, for a first run without a network.

It holds the first 1,000 images of each class of the training set and the first 200 of each class of
the test set. `scripts/make_mnist_12k.py` made it, and LICENSE-MNIST.md gives its licence.
"""

from importlib import resources

import numpy as np

from jaxopt_notes.data.arrays import DamagedError, read_npz
from jaxopt_notes.data.dataset import Dataset
from jaxopt_notes.errors import InputError

NAME = "mnist-12k"
_FILE = "mnist_12k.npz"


def load() -> Dataset:
    """Loads the embedded digits.

    Returns:
      A `Dataset` of uint8 images (10,000, 28, 28, 1) and (2,000, 28, 28, 1), int32 labels 0 to 9.

    Raises:
      InputError: the installed file is missing or damaged.
    """
    try:
        with (resources.files(__package__) / _FILE).open("rb") as file:
            arrays = read_npz(file)
        return Dataset(
            name=NAME,
            train_images=arrays["train_images"],
            train_labels=arrays["train_labels"].astype(np.int32),
            test_images=arrays["test_images"],
            test_labels=arrays["test_labels"].astype(np.int32),
            class_names=tuple(str(digit) for digit in range(10)),
        )
    except (OSError, KeyError, DamagedError) as error:
        raise InputError(
            f"dataset='{NAME}': the package's own {_FILE} is missing or damaged; "
            "install jaxopt-notes again"
        ) from error
