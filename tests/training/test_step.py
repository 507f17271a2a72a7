"""The step is pure: it learns, repeats itself, and measures what it should."""

import jax
import numpy as np
import optax
from flax import nnx

from jaxopt_notes import adam
from jaxopt_notes.models import MLP
from jaxopt_notes.training import step as steps
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, Normalization, make_train_step, normalization_of
from tests.training.small_networks import drawn


def test_normalization_gives_mean_0_and_deviation_1(digits):
    normalize = normalization_of(digits.train_images)
    pixels = np.asarray(jax.jit(normalize.__call__)(digits.train_images), np.float64)
    assert abs(pixels.mean()) < 1e-5
    assert abs(pixels.std() - 1) < 1e-5


def test_normalization_is_by_channel_and_survives_a_constant_one():
    images = np.zeros((4, 8, 8, 3), np.uint8)
    images[..., 1] = np.arange(64, dtype=np.uint8).reshape(8, 8)
    images[..., 2] = 255
    normalize = normalization_of(images)
    assert normalize.mean[0] == 0
    assert normalize.mean[2] == 1
    assert normalize.std[0] == normalize.std[2] == 1
    assert np.isfinite(np.asarray(jax.jit(normalize.__call__)(images))).all()


def test_normalization_is_that_of_numpy_in_double_precision_over_any_number_of_parts(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 3, 2), np.uint8)
    wanted = images / np.float64(255)
    for at_once in (1, 4, 105, 1000):
        monkeypatch.setattr(steps, "_AT_ONCE", at_once)
        normalization = normalization_of(images)
        np.testing.assert_allclose(normalization.mean, wanted.mean((0, 1, 2)), rtol=1e-14)
        np.testing.assert_allclose(normalization.std, wanted.std((0, 1, 2)), rtol=1e-14)


def test_a_step_with_our_adam_equals_one_with_optax(digits):
    batch = Batch(digits.train_images[:32], digits.train_labels[:32])
    model, normalize = drawn(MLP, widths=(8,)), normalization_of(digits.train_images)
    finals = []
    for optimizer in (adam(1e-3), optax.adam(1e-3)):
        state = create(model, optimizer, jax.random.key(0))
        step = jax.jit(make_train_step(model, optimizer, normalize))
        for _ in range(3):
            state, _ = step(state, batch)
        finals.append(state)
    assert jax.tree.structure(finals[0]) == jax.tree.structure(finals[1])
    for our_leaf, optax_leaf in zip(
        jax.tree.leaves(finals[0].params), jax.tree.leaves(finals[1].params)
    ):
        np.testing.assert_allclose(our_leaf, optax_leaf, rtol=1e-5, atol=1e-7)


class Everything(nnx.Module):
    """Batch statistics and dropout, which the CNN does without: the state has room for them."""

    def __init__(self, rngs):
        self.dense = nnx.Linear(784, 32, rngs=rngs)
        self.norm = nnx.BatchNorm(32, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.5)
        self.out = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        x = nnx.relu(self.norm(self.dense(x.reshape(x.shape[0], -1))))
        return self.out(self.dropout(x, rngs=rngs))


def test_batch_statistics_and_dropout_travel_through_the_state(digits):
    batch = Batch(digits.train_images[:64], digits.train_labels[:64])
    model = drawn(Everything)
    normalize = Normalization((0.0,), (1.0,))
    state = create(model, adam(0.0), jax.random.key(0))
    step = jax.jit(make_train_step(model, adam(0.0), normalize))
    once, first = step(state, batch)
    again, same = step(state, batch)
    assert float(first.loss) == float(same.loss)  # pure: no hidden randomness
    _, second = step(once, batch)
    assert float(first.loss) != float(second.loss)  # another step, another dropout mask

    dense = jax.tree.map(np.asarray, state.params["dense"])
    pixels = batch.images.reshape(64, -1) / np.float32(255)
    expected = 0.1 * (pixels @ dense["kernel"] + dense["bias"]).mean(0)
    np.testing.assert_allclose(once.batch_stats["norm"]["mean"], expected, rtol=1e-4, atol=1e-6)

    @jax.jit
    def evaluated(s):
        return model.apply(s.params, s.batch_stats, normalize(batch.images))[0]

    np.testing.assert_array_equal(evaluated(again), evaluated(once))  # evaluation drops nothing


def test_a_state_can_be_donated_and_the_model_used_again(digits):
    model = drawn(MLP, widths=(8,))
    batch = Batch(digits.train_images[:8], digits.train_labels[:8])
    optimizer = adam(1e-3)
    step = jax.jit(
        make_train_step(model, optimizer, Normalization((0.0,), (1.0,))), donate_argnums=0
    )
    step(create(model, optimizer, jax.random.key(0)), batch)
    step(create(model, optimizer, jax.random.key(0)), batch)
