"""Chooses the examples of each batch of an epoch."""

import numpy as np

from jaxopt_notes.errors import InputError

_KEY_LIMIT = 2**64


def epoch_order(seed: int, epoch: int, size: int, batch_size: int) -> np.ndarray:
    """Returns the examples of each step of an epoch, in a new random order each epoch.

    The order depends only on the arguments: it is the same on any platform and with any NumPy, and
    needs no earlier epoch. It comes from sorting the raw 64-bit stream of Philox, keyed by (seed,
    epoch), because NumPy guarantees that stream but not how `Generator.permutation` uses it.

    Args:
      seed: the run's seed, 0 … 2⁶⁴ − 1.
      epoch: the epoch's number, 0 … 2⁶⁴ − 1.
      size: the number of examples.
      batch_size: examples in a batch, 1 … size. The last, incomplete batch is dropped.

    Returns:
      An int32 array of shape (size // batch_size, batch_size): distinct positions in 0 … size − 1.

    Raises:
      InputError: a seed or epoch outside its range; a batch size below 1 or above `size`.

    >>> epoch_order(seed=0, epoch=0, size=7, batch_size=3)
    array([[0, 2, 1],
           [5, 4, 3]], dtype=int32)
    """
    for name, value in (("seed", seed), ("epoch", epoch)):
        if not 0 <= value < _KEY_LIMIT:
            raise InputError(f"{name}={value}: pass a whole number from 0 to 2**64 - 1")
    if not 1 <= batch_size <= size:
        raise InputError(
            f"batch_size={batch_size}: pass a whole number from 1 to {size}, the number of images"
        )
    draws = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(size)
    order = np.argsort(draws, kind="stable").astype(np.int32)
    steps = size // batch_size
    return order[: steps * batch_size].reshape(steps, batch_size)
