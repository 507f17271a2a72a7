"""The data made to mislead adaptive methods, against Wilson et al.'s closed forms."""

import numpy as np
import pytest

from jaxopt_notes.conventions import notes
from jaxopt_notes.studies import separable
from jaxopt_notes.studies.separable import Made, features, labels, shared

MADE = Made(examples=20, judges=400, positive=0.7, steps=300, seeds=2)


def test_adam_s_solution_fits_every_example_and_predicts_one_class() -> None:
    y = labels(MADE, 0)[0]
    x = features(y)
    ray = np.sign(x.T @ y)
    np.testing.assert_array_equal(x @ ray, 4 * y)  # so some multiple of it fits exactly
    new = np.array([1.0, -1.0])
    assert (shared(new) @ ray[: separable.SHARED] > 0).all()


def test_labels_are_positive_as_often_as_asked() -> None:
    parts = labels(Made(5000, 5000, 0.7, 1, 1), 3)
    assert [len(part) for part in parts] == [5000] * 3
    for part in parts:
        assert (part > 0).mean() == pytest.approx(0.7, abs=0.02)


def test_momentum_finds_the_least_norm_and_adam_its_ray() -> None:
    runs = {
        name: separable.sweep(lambda fall, rate, make=make: make(fall(rate)), np.array([[a]]), MADE)
        for name, make, a in (("adam", notes.adam, 0.01), ("momentum", notes.momentum, 2.0))
    }
    for seed in range(MADE.seeds):
        training, _, test = labels(MADE, seed)
        w = np.linalg.pinv(features(training)) @ training  # of least norm
        right = shared(test) @ w[: separable.SHARED] * test > 0
        assert right.all()
        hits = {name: r.right_at_best(MADE.judges)[seed] for name, r in runs.items()}
        np.testing.assert_array_equal(hits["momentum"], right)
        np.testing.assert_array_equal(hits["adam"], test > 0)
    for run in runs.values():
        assert (run.loss["train"] < 1e-3).all()
        assert run.batch_loss[0, 0, 0] == pytest.approx(0.5)  # from w = 0


def test_the_validation_examples_choose_and_the_test_examples_judge() -> None:
    runs = separable.sweep(lambda fall, rate: notes.sgd(fall(rate)), np.array([[1e-9]]), MADE)
    for seed in range(MADE.seeds):
        _, held, test = labels(MADE, seed)
        assert (held != test).any()
        assert runs.loss["held"][0, seed, 0] == pytest.approx(0.5, abs=1e-3)
        assert runs.right_at_best(MADE.judges)[seed].mean() == pytest.approx(
            runs.accuracy["test"][0, seed, 0]
        )
