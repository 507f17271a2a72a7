"""A trained network at work: from uint8 images to logits and probabilities."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.inference.trained import Trained
from jaxopt_notes.training.run import EVAL_BATCH


def forward(trained: Trained) -> Callable[[jax.Array], jax.Array]:
    """Logits (batch, classes) of uint8 images (batch, height, width, channels), normalised here."""
    weights = trained.weights

    def logits(images: jax.Array) -> jax.Array:
        normalised = trained.normalize(images)
        return trained.model.apply(weights.params, weights.batch_stats, normalised)[0]

    return logits


def probabilities(trained: Trained, images: np.ndarray) -> np.ndarray:
    """The probability of each class for each image.

    Args:
      trained: from `load_trained`.
      images: uint8 (n, height, width, channels), of the network's image shape; n may be 0.

    Returns:
      float32 (n, classes), rows that add up to 1.
    """
    logits = forward(trained)
    predict = jax.jit(lambda images: jax.nn.softmax(logits(images).astype(jnp.float32)))
    found = [np.zeros((0, len(trained.class_names)), np.float32)]
    for start in range(0, len(images), EVAL_BATCH):
        part = images[start : start + EVAL_BATCH]
        # Filled up with blank images to one of few sizes, each of which is compiled once.
        filled = min(EVAL_BATCH, 1 << (len(part) - 1).bit_length())
        blank = np.zeros((filled - len(part), *part.shape[1:]), np.uint8)
        found.append(np.asarray(predict(np.concatenate([part, blank])))[: len(part)])
    return np.concatenate(found)
