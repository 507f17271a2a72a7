"""Scores of each class, by hand and by scikit-learn; which mistakes are shown."""

import json

import jax
import numpy as np
import pytest

from jaxopt_notes import adam
from jaxopt_notes.runs import report
from jaxopt_notes.training import evaluation
from jaxopt_notes.training.evaluation import (
    ClassScore,
    Evaluation,
    class_scores,
    confusion_matrix,
    worst_mistakes,
)
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, make_train_step, normalization_of
from tests.training.small_networks import Dense, drawn


def scored(labels, predicted, names, confidence=None):
    """An evaluation of these predictions."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    counts = confusion_matrix(labels, predicted, len(names))
    confidence = np.ones(len(labels)) if confidence is None else np.asarray(confidence)
    return Evaluation(1, predicted, confidence, counts, class_scores(counts, names))


def test_a_miss_is_not_a_false_alarm():
    """100 people, 10 of them ill: 6 found, 4 missed, 9 of the healthy alarmed."""
    labels = [1] * 10 + [0] * 90
    predicted = [1] * 6 + [0] * 4 + [1] * 9 + [0] * 81
    result = scored(labels, predicted, ("healthy", "ill"))
    assert result.confusion.tolist() == [[81, 9], [4, 6]]
    assert result.accuracy == 0.87
    healthy, ill = result.scores
    assert ill == ClassScore("ill", 6 / 15, 6 / 10, 81 / 90, 12 / 25, 10)
    assert healthy == ClassScore("healthy", 81 / 85, 81 / 90, 6 / 10, 162 / 175, 90)
    assert result.worst is ill


def test_where_there_is_nothing_to_divide_by_there_is_no_score():
    result = scored([0, 0, 2], [0, 0, 0], ("a", "b", "c", "d"))
    a, b, c, d = result.scores
    assert (a.precision, a.recall) == (2 / 3, 1)
    assert (b.precision, b.recall, b.f1) == (None, None, None)
    assert d == b._replace(name="d")
    assert (c.precision, c.recall, c.f1) == (None, 0, 0)
    assert result.worst is c  # not b or d, of which there is nothing to find
    assert "NaN" not in json.dumps(result.as_json())


@pytest.mark.parametrize("classes", [2, 10, 26])
def test_scores_equal_scikit_learns(classes):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 3_000)
    predicted = np.where(rng.random(3_000) < 0.7, labels, rng.integers(0, classes, 3_000))
    predicted[predicted == classes - 1] = 0  # a class that is never predicted
    result = scored(labels, predicted, tuple(map(str, range(classes))))
    np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(labels, predicted))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, zero_division=np.nan
    )
    for k, score in enumerate(result.scores):
        ours = [np.nan if x is None else x for x in score[1:]]
        specificity = metrics.recall_score(labels != k, predicted != k)
        sklearn_scores = [precision[k], recall[k], specificity, f1[k], support[k]]
        np.testing.assert_allclose(ours, sklearn_scores, rtol=1e-12)
    assert result.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted), rel=1e-12)


def test_the_surest_mistakes_come_first():
    result = scored([0, 1, 0, 1, 0], [1, 1, 1, 0, 1], "ab", [0.6, 0.99, 0.9, 0.6, 0.7])
    labels = np.array([0, 1, 0, 1, 0])
    assert worst_mistakes(result, labels, 10).tolist() == [2, 4, 0, 3]
    assert worst_mistakes(result, labels, 2).tolist() == [2, 4]
    assert worst_mistakes(scored([0, 1], [0, 1], "ab"), np.array([0, 1]), 5).tolist() == []


@pytest.mark.parametrize("batch", [1000, 128, 7])
def test_predictions_are_the_networks_whatever_the_padding(digits, monkeypatch, batch):
    monkeypatch.setattr(evaluation, "EVAL_BATCH", batch)
    model, normalize = drawn(Dense), normalization_of(digits.train_images)
    weights = evaluation.copy_weights(create(model, adam(1e-3), jax.random.key(0)))
    result = evaluation.evaluate_classes(weights, model, normalize, digits)
    logits = jax.jit(lambda x: model.apply(model.params, {}, normalize(x))[0])(digits.test_images)
    chances = np.exp(np.asarray(logits, np.float64))
    chances /= chances.sum(1, keepdims=True)
    np.testing.assert_array_equal(result.predicted, chances.argmax(1))
    np.testing.assert_allclose(result.confidence, chances.max(1), rtol=1e-4)
    assert result.confusion.sum() == 300
    assert [score.support for score in result.scores] == np.bincount(digits.test_labels).tolist()


def test_copied_weights_outlast_the_next_step(digits):
    model, optimizer = drawn(Dense), adam(1e-3)
    state = create(model, optimizer, jax.random.key(0))
    weights = evaluation.copy_weights(state)
    step = make_train_step(model, optimizer, normalization_of(digits.train_images))
    batch = Batch(digits.train_images[:8], digits.train_labels[:8])
    jax.jit(step, donate_argnums=0)(state, batch)
    jax.tree.map(np.testing.assert_array_equal, weights.params, model.params)
    assert weights.step == 0


def test_scores_are_written_a_row_a_line_and_read_back():
    value = scored([0, 1, 1], [0, 1, 0], ("so [many],  {signs}", 'é "quoted"')).as_json()
    text = report._one_line_per_row(value)
    assert json.loads(text) == value
    assert "\n    [1, 1]\n" in text
    assert len(text.splitlines()) == 13
