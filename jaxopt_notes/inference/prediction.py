"""Probabilities of uint8 images by a trained network."""

import numpy as np

from jaxopt_notes.inference.trained import Trained
from jaxopt_notes.training.evaluation import logits_of, softmax


def probabilities(trained: Trained, images: np.ndarray) -> np.ndarray:
    """The probability of each class for each image.

    Args:
      trained: from `load_trained`.
      images: uint8 (n, height, width, channels), of the network's image shape; n may be 0.

    Returns:
      float32 (n, classes), rows that add up to 1.
    """
    return softmax(logits_of(images, trained.weights, trained.model, trained.normalize))
