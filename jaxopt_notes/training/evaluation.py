"""A trained network's predictions on a test set, and its scores for each class.

With the confusion matrix C, whose rows are the true classes and whose columns the predicted ones:

    recall(k)       C[k, k] / Σ_j C[k, j]        the share of class k that is predicted as k
    precision(k)    C[k, k] / Σ_i C[i, k]        the share of predictions of k that are right
    specificity(k)  the share of the other classes' examples that are not predicted as k
    F1(k)           2 C[k, k] / (Σ_j C[k, j] + Σ_i C[i, k])

A miss lowers recall; a false alarm lowers precision and specificity; accuracy shows neither. In
medicine recall is called sensitivity.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_notes.data import Dataset
from jaxopt_notes.models import PureModel
from jaxopt_notes.runtime.compilation import sooner
from jaxopt_notes.training.state import TrainState
from jaxopt_notes.training.step import Normalization, make_forward

EVAL_BATCH = 1000


class Weights(NamedTuple):
    """The part of a state that predicts, and how many steps it was trained for."""

    step: int
    params: Any
    batch_stats: Any


def copy_weights(state: TrainState) -> Weights:
    """Copies a state's weights; the next training step overwrites the state's own memory."""
    weights = state.params, state.batch_stats
    if len(state.step.devices()) > 1:  # take the copy in this process's own memory
        return Weights(int(state.step), *jax.device_get(weights))
    # Not jnp.copy, which compiles a program for each shape.
    return Weights(int(state.step), *jax.device_put(weights, may_alias=False))


class ClassScore(NamedTuple):
    """One class's scores; a score is None where its denominator is 0."""

    name: str
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None
    support: int  # how many examples are of the class


class Evaluation(NamedTuple):
    """The predictions for a test set, and the scores that follow from them.

    Attributes:
      step: how many steps the weights were trained for.
      predicted: int32 (n,), each image's most likely class.
      confidence: float32 (n,), that class's probability.
      confusion: int64 (classes, classes), rows true and columns predicted.
      scores: one row for each class.
    """

    step: int
    predicted: np.ndarray
    confidence: np.ndarray
    confusion: np.ndarray
    scores: tuple[ClassScore, ...]

    @property
    def accuracy(self) -> float:
        """The share of predictions that are right."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def worst(self) -> ClassScore:
        """The class with the lowest recall."""
        return min((score for score in self.scores if score.support), key=lambda s: s.recall or 0.0)

    def as_json(self) -> dict[str, Any]:
        """Everything but the predictions for single images, as a JSON value."""
        return {
            "step": self.step,
            "examples": len(self.predicted),
            "accuracy": self.accuracy,
            "classes": [score._asdict() for score in self.scores],
            "confusion_matrix": self.confusion.tolist(),
        }


def logits_of(
    images: np.ndarray, weights: Weights, model: PureModel, normalize: Normalization
) -> np.ndarray:
    """A trained network's logits for any number of images, computed batch by batch.

    Args:
      images: uint8 (n, height, width, channels), of the network's image shape.
      weights: the trained weights.
      model: the network that the weights belong to.
      normalize: the training set's normalisation.

    Returns:
      The logits, (n, classes).
    """
    forward = jax.jit(make_forward(model, normalize), **sooner())
    size = len(images)
    # Blank images fill a batch up to a power of two, so that few sizes have to be compiled.
    batch = min(EVAL_BATCH, 1 << max(size - 1, 0).bit_length())
    parts = []
    for start in range(0, max(size, 1), batch):
        part = images[start : start + batch]
        blank = np.zeros((batch - len(part), *images.shape[1:]), np.uint8)
        filled = np.concatenate([part, blank])
        parts.append(np.asarray(forward(weights.params, weights.batch_stats, filled)))
    return np.concatenate(parts)[:size]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits (n, classes): float32 rows that add up to 1."""
    x = logits.astype(np.float32)
    with np.errstate(invalid="ignore"):  # infinite logits give NaN
        exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def evaluate_classes(
    weights: Weights, model: PureModel, normalize: Normalization, data: Dataset
) -> Evaluation:
    """Predicts the test set of `data` and scores each class; other arguments as for `logits_of`."""
    logits = logits_of(data.test_images, weights, model, normalize)
    predicted, confidence = logits.argmax(-1).astype(np.int32), softmax(logits).max(-1)
    confusion = confusion_matrix(data.test_labels, predicted, len(data.class_names))
    scores = class_scores(confusion, data.class_names)
    return Evaluation(weights.step, predicted, confidence, confusion, scores)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (true, predicted) pairs: int64 (classes, classes).

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_scores(confusion: np.ndarray, names: Sequence[str]) -> tuple[ClassScore, ...]:
    """Each class's scores from a confusion matrix.

    >>> score, _ = class_scores(np.array([[8, 2], [0, 90]]), ("ill", "well"))
    >>> score.recall, score.precision, score.specificity, score.support
    (0.8, 1.0, 1.0, 10)
    """
    total = int(confusion.sum())
    rows = []
    for k, name in enumerate(names):
        hits = int(confusion[k, k])
        support, predicted = int(confusion[k].sum()), int(confusion[:, k].sum())
        true_negatives = total - support - predicted + hits
        rows.append(
            ClassScore(
                name=name,
                precision=_share(hits, predicted),
                recall=_share(hits, support),
                specificity=_share(true_negatives, total - support),
                f1=_share(2 * hits, support + predicted),
                support=support,
            )
        )
    return tuple(rows)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def worst_mistakes(evaluation: Evaluation, labels: np.ndarray, most: int) -> np.ndarray:
    """The positions of at most `most` wrong predictions, the most confident first."""
    wrong = np.flatnonzero(evaluation.predicted != labels)
    order = np.argsort(-evaluation.confidence[wrong], kind="stable")
    return wrong[order[:most]]
