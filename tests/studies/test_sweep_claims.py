"""The mathematics of the sweeps on MNIST, and of the studies that use them, on small sizes."""

import gzip
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import optax
import pytest

from jaxopt_notes.data.tfds import mnist_files
from jaxopt_notes.errors import InputError
from jaxopt_notes.studies import digits, sweeps
from jaxopt_notes.studies.claims import batch_size, generalisation_gap, six_optimizers
from jaxopt_notes.studies.sweeps import (
    SIX,
    Plan,
    Runs,
    corput,
    plan_of,
    quarter_decades,
    smooth,
    trials,
    width,
)
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, make_train_step

RATES = np.array([1e-4, 3e-3, 1e-1])
PLAN = Plan(images=48, widths=(4,), batch=16, steps=6, seeds=2, marks=2)


def test_trials_are_halton_s_points() -> None:
    qmc = pytest.importorskip("scipy.stats.qmc", reason="SciPy is a part of [dev]")
    points = qmc.Halton(d=2, scramble=False).random(41)[1:]
    sample = trials(40, [1e-4, 10.0], [0.5, 2.0])
    np.testing.assert_allclose(np.log10(sample[:, 0]), -4 + 5 * points[:, 0], atol=1e-12)
    np.testing.assert_allclose(np.log2(sample[:, 1]), -1 + 2 * points[:, 1], atol=1e-12)


@pytest.mark.parametrize("count", [1, 7, 8, 100])
def test_every_start_of_the_sequence_is_evenly_spread(count: int) -> None:
    points = np.sort(np.concatenate([[0, 1], corput(count, 2)]))
    assert np.diff(points).max() <= 2 / (count + 1)
    assert np.diff(points).min() > 0.25 / (count + 1)


def test_width_of_a_known_valley() -> None:
    rates = np.array([1.0, 1e-2, 1e-1, 1e1])  # in any order
    losses = 2.0 * 10.0 ** abs(np.log10(rates) + 0.5)  # 2 · 10^|log10 α + ½|
    assert width(rates, losses, 2.0 * 10**0.6) == pytest.approx(1.2)
    assert width(rates, losses, 1e9) == pytest.approx(3)
    assert width(rates, losses, 1.0) == 0
    losses[3] = np.inf
    assert width(rates, losses, 2.0 * 10**0.6) == pytest.approx(1.1, abs=0.01)
    assert width(7 * rates, losses, 2.0 * 10**0.6) == pytest.approx(
        width(rates, losses, 2.0 * 10**0.6)
    )


def test_smooth_is_the_mean_of_what_came_last() -> None:
    losses = np.random.default_rng(0).random((2, 9))
    for over in (1, 4, 9, 20):
        wanted = [[row[max(0, i - over + 1) : i + 1].mean() for i in range(9)] for row in losses]
        np.testing.assert_allclose(smooth(losses, over), wanted)
    assert (smooth(np.array([1.0, np.inf, np.inf, np.inf]), 2)[1:] == np.inf).all()


def test_edges_of_a_known_valley() -> None:
    rates = quarter_decades(-2, 1)
    assert len(rates) == 13
    np.testing.assert_allclose(np.diff(np.log10(rates)), 0.25)
    errors = 2.0 * 10.0 ** abs(np.log10(rates) + 0.5)  # 2 · 10^|log10 α + ½|
    low, high = six_optimizers.edges(rates, errors, 2.0 * 10**0.6)
    np.testing.assert_allclose(np.log10([low, high]), [-1.1, 0.1], atol=1e-9)
    width_of = width(rates, errors, 2.0 * 10**0.6)
    assert width_of == pytest.approx(np.log10(high / low))
    assert six_optimizers.edges(rates, errors, 1e9) == (rates[0], rates[-1])
    assert np.isnan(six_optimizers.edges(rates, errors, 1.0)).all()


def test_no_image_both_trains_and_judges() -> None:
    split = digits.deal(200)
    sizes = [len(part.labels) for part in split[:3]]
    assert sizes == [200, digits.KEPT_ASIDE, 2000]
    images = {image.tobytes() for part in split[:3] for image in np.asarray(part.images)}
    assert len(images) == sum(sizes)
    held = digits.deal(48).held
    # The same, however many train.
    np.testing.assert_array_equal(held.images, split.held.images)
    normal = np.asarray(jax.jit(lambda x: split.normalize(x))(split.train.images))
    assert float(normal.mean()) == pytest.approx(0, abs=1e-4)
    assert float(normal.std()) == pytest.approx(1, abs=1e-4)


def test_order_takes_each_image_once_an_epoch() -> None:
    plan = plan_of({"images": 48, "widths": [4], "batch": 16, "epochs": 5, "seeds": 2, "marks": 2})
    assert plan.steps == 14  # 15, less one for two equal halves
    rows = sweeps.order(plan, 1)
    assert rows.shape == (2, 7, 16)
    rows = rows.reshape(14, 16)[:12].reshape(4, 48)
    for epoch in rows:
        assert sorted(epoch) == list(range(48))
    assert (rows[0] != rows[1]).any()
    assert (sweeps.order(plan, 0) != sweeps.order(plan, 1)).any()


@pytest.fixture(scope="module")
def swept() -> Runs:
    return sweeps.by_rate("adam", PLAN, RATES)


@pytest.mark.slow
def test_a_sweep_is_the_package_s_own_training(swept: Runs) -> None:
    trial, seed = 2, 1
    parts = digits.deal(PLAN.images, seed)._replace(normalize=digits.deal(PLAN.images).normalize)
    rate = RATES[trial]
    model = sweeps.networks(PLAN)[seed]
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, PLAN.steps))
    step = jax.jit(make_train_step(model, optimizer, parts.normalize))
    state, losses = create(model, optimizer, jax.random.key(seed)), []
    for rows in sweeps.order(PLAN, seed).reshape(PLAN.steps, PLAN.batch):
        state, metrics = step(state, Batch(*(x[rows] for x in parts.train)))
        losses.append(float(metrics.loss) / PLAN.batch)
    np.testing.assert_allclose(swept.batch_loss[trial, seed], losses, rtol=1e-4)
    logits, _ = model.apply(state.params, {}, parts.normalize(parts.test.images))
    right = (logits.argmax(-1) == parts.test.labels).mean()
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, parts.test.labels).mean()
    assert swept.accuracy["test"][trial, seed, -1] == pytest.approx(float(right), abs=1.5e-3)
    bits = np.unpackbits(swept.right[trial, seed], count=2000)
    assert bits.mean() == pytest.approx(swept.accuracy["test"][trial, seed, -1], abs=1e-6)
    assert swept.loss["test"][trial, seed, -1] == pytest.approx(float(loss), rel=1e-4)


def test_a_sweep_has_every_trial_seed_and_mark(swept: Runs) -> None:
    assert swept.batch_loss.shape == (3, 2, 6)
    for part in sweeps.PARTS:
        assert swept.loss[part].shape == swept.accuracy[part].shape == (3, 2, 2)
    assert (swept.batch_loss[:, 0, 0] == swept.batch_loss[0, 0, 0]).all()  # no step yet
    assert (swept.batch_loss[:, 0, 0] != swept.batch_loss[:, 1, 0]).all()


def test_the_best_trial_is_chosen_by_what_is_kept_aside() -> None:
    held = np.array([[[3.0]], [[1.0]], [[np.inf]]])
    others = np.array([[[0.0]], [[5.0]], [[np.inf]]])
    loss = {"train": others, "held": held, "test": others}
    accuracy = {
        "held": np.array([[[0.8]], [[0.7]], [[0.8]]]),
        "test": np.array([[[0.9]], [[0.5]], [[0.1]]]),
    }
    right = np.packbits(np.array([[[1, 0, 1]], [[0, 0, 1]], [[0, 0, 0]]]), axis=-1)
    runs = Runs(np.zeros((3, 1, 1)), loss, accuracy, right)
    assert runs.best() == 1
    assert runs.at_best("loss", "test") == [5.0]
    assert runs.at_best("accuracy", "test") == [0.5]
    assert runs.best("accuracy") == 0  # of two equal trials, the one of less loss
    assert runs.at_best("accuracy", "test", by="accuracy") == [0.9]
    assert runs.held_at_best() == (0.8, -3.0)
    assert runs.right_at_best(3).tolist() == [[True, False, True]]
    assert runs.right_at_best(3, by="loss").tolist() == [[False, False, True]]


def test_each_seed_can_have_images_of_its_own() -> None:
    one, other = digits.deal(48, 0), digits.deal(48, 1)
    assert (np.asarray(one.held.images) != np.asarray(other.held.images)).any()
    np.testing.assert_array_equal(one.test.images, other.test.images)
    images = {image.tobytes() for part in other[:2] for image in np.asarray(part.images)}
    assert len(images) == 48 + digits.KEPT_ASIDE


def official(folder: Any, count: int) -> None:
    """Writes MNIST's two test files, with that many images."""
    images, labels = mnist_files.SPLITS["test"]
    pixels = (np.arange(count * 784) % 251).astype(np.uint8)
    for file, shape, data in (
        (images, (count, 28, 28), pixels),
        (labels, (count,), np.arange(count, dtype=np.uint8) % 10),
    ):
        head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        (folder / file).write_bytes(gzip.compress(head + data.tobytes()))


def test_the_official_test_images_judge_where_they_are_at_hand(tmp_path, monkeypatch) -> None:
    official(tmp_path, 30)
    monkeypatch.setenv(digits.FOLDER, str(tmp_path))
    digits.official_test.cache_clear()
    digits.deal.cache_clear()
    try:
        assert digits.judges() == "MNIST, 10,000 images"
        test_set = digits.deal(48, 0, official=True).test
        assert test_set.images.shape == (30, 28, 28, 1)
        assert test_set.labels.tolist() == [i % 10 for i in range(30)]
        assert np.asarray(test_set.images)[0, 0, 5, 0] == 5
        (tmp_path / mnist_files.SPLITS["test"][0]).write_bytes(b"no gzip")
        digits.official_test.cache_clear()
        with pytest.raises(InputError, match="MNIST's test files cannot be read"):
            digits.official_test()
        monkeypatch.delenv(digits.FOLDER)
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        digits.official_test.cache_clear()
        assert digits.judges() == "mnist-12k, 2,000 images"
    finally:
        digits.official_test.cache_clear()
        digits.deal.cache_clear()


@pytest.mark.slow
def test_a_seed_s_own_images_train_and_choose_in_a_sweep() -> None:
    plan = PLAN
    runs = sweeps.sweep(sweeps.networks(plan), SIX["sgd"], np.array([[1e-12]]), plan, "")
    for seed, model in enumerate(sweeps.networks(plan)):
        parts, normalize = digits.deal(plan.images, seed), digits.deal(plan.images, 0).normalize
        for part in ("train", "held", "test"):
            batch = getattr(parts, part)
            logits, _ = model.apply(model.params, {}, normalize(batch.images))
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels).mean()
            assert runs.loss[part][0, seed, -1] == pytest.approx(float(loss), rel=1e-4)


def test_a_run_that_diverges_has_lost_without_bound_and_outputs_are_watched() -> None:
    def watch(outputs: jax.Array, labels: jax.Array) -> Any:
        return (outputs.argmax(-1) == labels).mean()

    tried = np.array([[1e30], [1e-3]])
    runs = sweeps.sweep(sweeps.networks(PLAN), SIX["sgd"], tried, PLAN, "", watch)
    np.testing.assert_allclose(runs.watched, runs.accuracy["test"][..., -1], atol=1e-6)
    assert (runs.loss["held"][0, :, -1] == np.inf).all()
    assert np.isfinite(runs.loss["held"][1]).all()
    assert runs.best() == 1


@pytest.mark.slow
def test_adam_hands_over_late_and_is_adam_until_then() -> None:
    setting = {"switch_at": 0.5}
    tried = {"adam": [[0.01]], "adamw": [[0.01, 0.5]], "copied": [[0.01, 0.1]]}
    batch_losses = {
        name: sweeps.sweep(
            sweeps.networks(PLAN),
            generalisation_gap.maker(name, PLAN.steps, setting),
            np.array(trial),
            PLAN,
            name,
        ).batch_loss
        for name, trial in {**tried, "projected": [[0.01]]}.items()
    }
    for name in ("copied", "projected"):  # 3 steps were Adam's
        np.testing.assert_allclose(
            batch_losses[name][..., :4], batch_losses["adam"][..., :4], rtol=1e-4
        )
        assert (abs(batch_losses[name][..., 5] - batch_losses["adam"][..., 5]) > 1e-5).all()
    assert (abs(batch_losses["copied"][..., 5] - batch_losses["projected"][..., 5]) > 1e-5).all()
    assert (abs(batch_losses["adamw"][..., 3] - batch_losses["adam"][..., 3]) > 0).all()


def test_steps_to_the_goal_are_those_of_the_fastest_trial() -> None:
    def runs(*losses: list[float]) -> Any:
        return SimpleNamespace(batch_loss=np.array(losses)[:, None])  # one seed

    both = {"adam": runs([3, 3, 1], [3, 1, 1]), "momentum": runs([3, 3, 3], [3, 3, 1])}
    assert generalisation_gap.ratio_of_steps(both, 1, goal=1.0) == [2 / 3]
    assert generalisation_gap.ratio_of_steps(both, 1, goal=0.0) == [1.0]  # neither arrives


def test_the_smallest_and_the_largest_batch_are_compared_at_equal_steps_and_epochs() -> None:
    for setting in (batch_size.ABOUT.setting, batch_size.ABOUT.setting_for(quick=True)):
        cells = batch_size.cells(setting)
        assert len(set(cells)) == len(cells)
        for name, (small, large) in batch_size.pairs(setting).items():
            assert {small, large} <= set(cells)
            count, unit = name.split("_")
            assert (small[0], large[0]) == (min(setting["batches"]), max(setting["batches"]))
            if unit == "steps":
                assert small[1] == large[1] == int(count)
            else:
                assert small[0] * small[1] == large[0] * large[1]
                assert small[0] * small[1] == int(count) * setting["images"]
