"""A network's confidence: measures against their closed forms, and the training against ours."""

import jax
import numpy as np
import pytest

from jaxopt_notes.studies.claims import calibration
from jaxopt_notes.studies.claims.calibration import calibration_error, scores, temperature
from jaxopt_notes.studies.digits import deal
from jaxopt_notes.studies.study import about
from jaxopt_notes.studies.sweeps import networks, plan_of


def test_scores_are_those_of_the_softmax() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(0, 30, (2, 50, 4)), rng.integers(0, 4, 50)
    network_scores = scores(z, y)
    p = np.exp(z - np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True)))
    p = p / np.exp(z.max(-1, keepdims=True))
    np.testing.assert_allclose(network_scores.confidence, p.max(-1), rtol=1e-9)
    np.testing.assert_allclose(network_scores.nll, -np.log(p[:, np.arange(50), y]), atol=1e-9)
    np.testing.assert_array_equal(network_scores.right, p.argmax(-1) == y)


def test_calibration_error_is_0_where_confidence_is_accuracy() -> None:
    sure, right = np.full(10, 0.7), np.arange(10) < 7
    assert calibration_error(sure, right, 15) == pytest.approx(0, abs=1e-12)
    assert calibration_error(sure, ~right, 15) == pytest.approx(0.4)
    # Two bins whose errors cancel in the mean, not in the sum of absolute values.
    sure = np.repeat([0.5, 1.0], 10)
    right = np.repeat([True, False], [15, 5])
    assert (sure - right).mean() == 0
    assert calibration_error(sure, right, 15) == pytest.approx(0.5)
    assert calibration_error(sure, right, 1) == pytest.approx(0)


def test_temperature_is_found_again() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(5), 20000)
    y = (p.cumsum(1) > rng.random((len(p), 1))).argmax(1)
    assert temperature(2.5 * np.log(p), y) == pytest.approx(2.5, rel=0.03)


@pytest.mark.slow
def test_what_is_trained_begins_at_the_seed_s_network_and_learns() -> None:
    study = about("calibration")
    setting = {**study.setting_for(quick=True), "seeds": 2, "epochs": 2, "marks_at": [1, 2]}
    still, moved = calibration.trained([1e-12, 3e-3], 0.0, setting)
    parts = deal(setting["images"], 1)
    model = networks(plan_of(setting))[1]
    images = deal(setting["images"], 0).normalize(parts.held.images)
    logits, _ = jax.jit(model.apply)(model.params, {}, images)
    np.testing.assert_allclose(still.held[1, 0], logits, atol=1e-4)
    np.testing.assert_allclose(still.held[1, 1], still.held[1, 0], atol=1e-4)
    assert still.test.shape == (2, 2, 2000, 10)
    assert (moved.doubt[:, 1] < moved.doubt[:, 0]).all()
    assert (moved.doubt[:, 0] < still.doubt[:, 0]).all()
