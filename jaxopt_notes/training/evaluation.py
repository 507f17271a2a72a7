"""What a trained network does with a test set, class by class.

With the confusion matrix C, whose rows are the true classes and whose columns the predicted ones:

    recall(k)       C[k, k] / Σ_j C[k, j]        of what is k, the share that was found
    precision(k)    C[k, k] / Σ_i C[i, k]        of what was called k, the share that is
    specificity(k)  the share of what is not k that was not called k
    F1(k)           2 C[k, k] / (Σ_j C[k, j] + Σ_i C[i, k])

A miss lowers recall, a false alarm precision and specificity; accuracy tells neither. In medicine
recall is called sensitivity.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.data import Dataset
from jaxopt_notes.models import PureModel
from jaxopt_notes.runtime.compilation import sooner
from jaxopt_notes.training.loop import pad
from jaxopt_notes.training.run import EVAL_BATCH
from jaxopt_notes.training.state import TrainState
from jaxopt_notes.training.step import Normalization


class Weights(NamedTuple):
    """What it takes to predict, in memory of its own, and after how many steps it was kept."""

    step: int
    params: Any
    batch_stats: Any


def keep(state: TrainState) -> Weights:
    """Copies a state's weights, which the training would otherwise overwrite."""
    weights = state.params, state.batch_stats
    if len(state.step.devices()) > 1:  # one of the copies, in this process's own memory
        return Weights(int(state.step), *jax.device_get(weights))
    copied = jax.tree.map(jnp.copy, weights)
    return Weights(int(state.step), *copied)


class ClassScore(NamedTuple):
    """How well one class is told from the others; None where there is nothing to divide by."""

    name: str
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None
    support: int  # how many there are


class Evaluation(NamedTuple):
    """Predictions for each image of a test set, and what follows from them.

    Attributes:
      step: how many steps the weights had taken.
      predicted: int32 (n,), each image's likeliest class.
      confidence: float32 (n,), that class's probability.
      confusion: int64 (classes, classes), rows true and columns predicted.
      scores: a row a class.
    """

    step: int
    predicted: np.ndarray
    confidence: np.ndarray
    confusion: np.ndarray
    scores: tuple[ClassScore, ...]

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def worst(self) -> ClassScore:
        """The class of the lowest recall."""
        return min((score for score in self.scores if score.support), key=lambda s: s.recall or 0.0)

    def as_json(self) -> dict[str, Any]:
        """Everything but the single images."""
        return {
            "step": self.step,
            "examples": len(self.predicted),
            "accuracy": self.accuracy,
            "classes": [score._asdict() for score in self.scores],
            "confusion_matrix": self.confusion.tolist(),
        }


def evaluate_classes(
    weights: Weights, model: PureModel, normalize: Normalization, data: Dataset
) -> Evaluation:
    """Predicts a test set and scores each class.

    Args:
      weights: from `keep`.
      model: the network they belong to.
      normalize: the training set's.
      data: whose test set to predict.

    Returns:
      The `Evaluation`.
    """
    predict = jax.jit(make_predict_step(model, normalize), **sooner())
    padded = pad(data.test_images, data.test_labels, EVAL_BATCH)
    parts = [predict(weights.params, weights.batch_stats, x.images) for x in padded.batches]
    size = len(data.test_labels)
    predicted, confidence = (np.concatenate(column)[:size] for column in zip(*parts))
    confusion = confusion_matrix(data.test_labels, predicted, len(data.class_names))
    scores = class_scores(confusion, data.class_names)
    return Evaluation(weights.step, predicted, confidence, confusion, scores)


def make_predict_step(
    model: PureModel, normalize: Normalization
) -> Callable[[Any, Any, jax.Array], tuple[jax.Array, jax.Array]]:
    """The likeliest class of each image of a batch and its probability, by the running averages."""

    def step(params: Any, batch_stats: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits, _ = model.apply(params, batch_stats, normalize(images))
        return logits.argmax(-1), jax.nn.softmax(logits.astype(jnp.float32)).max(-1)

    return step


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (true, predicted) pairs: int64 (classes, classes).

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_scores(confusion: np.ndarray, names: Sequence[str]) -> tuple[ClassScore, ...]:
    """Each class's scores from the counts (true, predicted).

    >>> score, _ = class_scores(np.array([[8, 2], [0, 90]]), ("ill", "well"))
    >>> score.recall, score.precision, score.specificity, score.support
    (0.8, 1.0, 1.0, 10)
    """
    total = int(confusion.sum())
    rows = []
    for k, name in enumerate(names):
        hit = int(confusion[k, k])
        true, called = int(confusion[k].sum()), int(confusion[:, k].sum())
        right_no = total - true - called + hit
        rows.append(
            ClassScore(
                name=name,
                precision=_share(hit, called),
                recall=_share(hit, true),
                specificity=_share(right_no, total - true),
                f1=_share(2 * hit, true + called),
                support=true,
            )
        )
    return tuple(rows)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def worst_mistakes(evaluation: Evaluation, labels: np.ndarray, most: int) -> np.ndarray:
    """The positions of the wrong predictions, the most confident first, at most so many."""
    wrong = np.flatnonzero(evaluation.predicted != labels)
    order = np.argsort(-evaluation.confidence[wrong], kind="stable")
    return wrong[order[:most]]
