"""The CNN has the notes' shapes, and its gradient is that of flax's own layers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.models import CNN, parameter_count, pure
from jaxopt_notes.training.network import initialised
from jaxopt_notes.training.step import normalization_of
from tests.models.filled import filled


class FlaxCNN(nnx.Module):
    """The same network in the manner of flax's own example."""

    def __init__(self, rngs):
        self.conv1 = nnx.Conv(1, 32, (3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, (3, 3), rngs=rngs)
        self.dense1 = nnx.Linear(3136, 128, rngs=rngs)
        self.dense2 = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.conv1(x)), (2, 2), strides=(2, 2))
        x = nnx.max_pool(nnx.relu(self.conv2(x)), (2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        return self.dense2(nnx.relu(self.dense1(x)))


def test_shapes_and_parameters_are_the_notes():
    model = pure(filled(CNN))
    shapes = sorted(leaf.shape for leaf in jax.tree.leaves(model.params))
    assert shapes == sorted(
        [(3, 3, 1, 32), (32,), (3, 3, 32, 64), (64,), (3136, 128), (128,), (128, 10), (10,)]
    )
    assert parameter_count(model.params) == 421_642
    images = np.zeros((3, 28, 28, 1), np.float32)
    logits, batch_stats = jax.eval_shape(model.apply, model.params, model.batch_stats, images)
    assert logits.shape == (3, 10)
    assert batch_stats == {}


def test_logits_may_be_negative():
    """No ReLU after the last layer."""
    small = {"image_shape": (8, 8, 1), "features": (2, 4), "hidden": 6}
    model = pure(filled(lambda rngs: CNN(rngs, **small)))
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 1)).astype(np.float32)
    assert (np.asarray(jax.jit(model.apply)(model.params, {}, images)[0]) < 0).any()


def test_other_image_sizes_and_classes():
    model = pure(filled(lambda rngs: CNN(rngs, image_shape=(33, 30, 3), classes=5)))
    images = np.zeros((2, 33, 30, 3), np.float32)
    logits, _ = jax.eval_shape(model.apply, model.params, {}, images)
    assert logits.shape == (2, 5)


@pytest.mark.slow
def test_loss_and_every_gradient_equal_flax_layers_on_real_images(digits):
    images = normalization_of(digits.train_images)(jnp.asarray(digits.train_images[:16]))
    labels = jnp.asarray(digits.train_labels[:16])
    model = pure(initialised(CNN, 0))
    graph, flax_state = nnx.split(FlaxCNN(nnx.Rngs(1)))
    ours = model.params
    names = {
        "conv1": ours["blocks"][0],
        "conv2": ours["blocks"][1],
        "dense1": ours["dense"],
        "dense2": ours["logits"],
    }
    flax_params = {name: dict(layer) for name, layer in names.items()}
    assert jax.tree.structure(nnx.to_pure_dict(flax_state)) == jax.tree.structure(flax_params)

    def our_loss(params):
        return cross_entropy(model.apply(params, {}, images)[0], labels).mean()

    def flax_loss(params):
        logits = nnx.merge(graph, params)(images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    loss, grads = jax.jit(jax.value_and_grad(our_loss))(ours)
    flax_value, flax_grads = jax.jit(jax.value_and_grad(flax_loss))(flax_params)
    np.testing.assert_allclose(loss, flax_value, rtol=1e-6)
    for name, layer in (
        ("conv1", grads["blocks"][0]),
        ("conv2", grads["blocks"][1]),
        ("dense1", grads["dense"]),
        ("dense2", grads["logits"]),
    ):
        for part in ("kernel", "bias"):
            expected = flax_grads[name][part]
            scale = float(jnp.abs(expected).max())
            np.testing.assert_allclose(
                layer[part], expected, rtol=0, atol=5e-6 * scale, err_msg=f"{name}.{part}"
            )


def test_blank_background_makes_windows_tie(digits):
    """The gradient test above depends on this: real images have windows of four equal pixels."""
    windows = digits.train_images[:16].reshape(16, 14, 2, 14, 2)
    same = (windows == windows[:, :, :1, :, :1]).all(axis=(2, 4))
    assert same.mean() > 0.25
