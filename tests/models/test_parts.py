"""The parts of the networks equal flax's own layers, and refuse nonsense."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_notes.config import settings
from jaxopt_notes.errors import InputError
from jaxopt_notes.models import CNN, MLP, BatchNorm, pure
from jaxopt_notes.models.activations import ACTIVATIONS
from jaxopt_notes.models.batch_norm import NORMS
from jaxopt_notes.models.layer_list import apply_layers
from jaxopt_notes.models.pooling import POOLINGS, average_pool_2x2, global_average_pool
from tests.models.filled import filled

SMALL = {"image_shape": (8, 8, 1), "features": (3, 4), "hidden": 5}


def test_the_command_knows_every_part():
    """config.py lists them again, since it must not import JAX."""
    assert settings.POOLINGS == POOLINGS
    assert settings.NORMS == NORMS
    assert tuple(ACTIVATIONS) == settings.ACTIVATIONS


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 4, 4, 1), (3, 5, 7, 2), (1, 2, 3, 4)])
def test_average_pools_are_flax_pools_with_their_gradients(shape):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)

    def flax_pool(x):
        return nnx.avg_pool(x, (2, 2), strides=(2, 2))

    def flax_global(x):
        return nnx.avg_pool(x, shape[1:3])

    pairs = [(average_pool_2x2, flax_pool), (global_average_pool, flax_global)]
    for ours, flax_function in pairs:
        value, pullback = jax.vjp(ours, x)
        expected, flax_pullback = jax.vjp(flax_function, x)
        cotangent = jnp.cos(jnp.arange(value.size, dtype=jnp.float32)).reshape(value.shape)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(*pullback(cotangent), *flax_pullback(cotangent), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["max", "gap"])
def test_the_quick_convolutions_are_the_layers_one_by_one(pooling):
    network = CNN(nnx.Rngs(0), pooling=pooling, **SMALL)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8, 8, 1)), jnp.float32)
    assert network.plain
    np.testing.assert_allclose(
        network(images), apply_layers(network.layers(), images), rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
def test_an_activation_keeps_the_size_of_what_passes(name):
    """Through ten layers the values neither vanish nor grow: the initial weights suit them."""
    network = MLP(nnx.Rngs(0), image_shape=(16, 16, 1), widths=[256] * 10, activation=name)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(64, 16, 16, 1)), jnp.float32)
    out = apply_layers(network.layers()[:-1], x)
    assert 0.2 < float(jnp.sqrt((out**2).mean())) < 2


def test_gelu_is_the_exact_one():
    x = 1.0
    phi = 0.8413447460685429  # Φ(1)
    gelu = jax.jit(ACTIVATIONS["gelu"].apply)
    assert float(gelu(np.float32(x))) == pytest.approx(x * phi, abs=1e-6)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4, 3)])
def test_running_averages_are_the_equations(shape, unbiased):
    x = np.random.default_rng(0).normal(2, 3, shape)
    n = x.size // 3
    norm = BatchNorm(3, rngs=nnx.Rngs(0), unbiased_running_variance=unbiased)
    axes = tuple(range(len(shape) - 1))
    mean, var = np.zeros(3), np.ones(3)
    for step in range(3):
        batch = x + step
        y = norm(jax.device_put(batch.astype(np.float32)))
        biased = batch.var(axes)
        mean = 0.9 * mean + 0.1 * batch.mean(axes)
        var = 0.9 * var + 0.1 * biased * (n / (n - 1) if unbiased else 1)
        expected = (batch - batch.mean(axes)) / np.sqrt(biased + 1e-5)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.mean[...], mean, rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], var, rtol=1e-5)
    norm.eval()
    expected = (x - mean) / np.sqrt(var + 1e-5)
    y = norm(jax.device_put(x.astype(np.float32)))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.var[...], var, rtol=1e-5)  # evaluation moves nothing


def test_batch_norm_far_from_zero_keeps_its_digits():
    x = 1e4 + np.arange(5.0)[:, None] * [1, 2, 3]
    y = BatchNorm(3, rngs=nnx.Rngs(0))(jax.device_put(x.astype(np.float32)))
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    np.testing.assert_allclose(y, expected, atol=1e-4)


def test_batch_norm_of_a_single_number_a_channel_is_refused():
    norm = BatchNorm(3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="batch of 2 or more"):
        norm(np.zeros((1, 3), np.float32))
    for shape in ((1, 2, 1, 3), (1, 3)):
        x = jax.ShapeDtypeStruct(shape, np.float32)
        assert nnx.eval_shape(lambda norm, x: norm(x), norm, x).shape == shape
        norm.eval()


@pytest.mark.slow
def test_dropout_of_the_last_layers_inputs_keeps_the_expected_logits():
    network = CNN(nnx.Rngs(0), dropout=0.4, **SMALL)
    model = pure(network)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 1)), jnp.float32)
    evaluated = model.apply(model.params, {}, images)[0]

    def dropped(key):
        return model.apply(model.params, {}, images, key, train=True)[0]

    logits = jax.jit(jax.vmap(dropped))(jax.random.split(jax.random.key(0), 2000))
    error = np.asarray(logits.std(0)) / 2000**0.5
    assert (error > 0).all()
    assert (np.abs(logits.mean(0) - evaluated) < 5 * error).all()


@pytest.mark.parametrize(
    ("kind", "wrong", "words"),
    [
        (CNN, {"pooling": "min"}, ["pooling='min'", "max, average, stride, gap"]),
        (CNN, {"norm": "layer"}, ["norm='layer'", "none, batch"]),
        (MLP, {"activation": "elu"}, ["activation='elu'", "gelu"]),
        (MLP, {"dropout": 1.0}, ["dropout=1.0"]),
        (CNN, {"dropout": float("nan")}, ["dropout=nan"]),
        (MLP, {"widths": (8, 0)}, ["widths=(8, 0)"]),
        (CNN, {"image_shape": (3, 8, 1)}, ["3×8", "halved 2 times", "at least 4×4"]),
        (CNN, {"image_shape": (3, 3, 1), "pooling": "gap"}, ["3×3", "stride"]),
    ],
)
def test_nonsense_is_refused_by_name(kind, wrong, words):
    with pytest.raises(InputError) as caught:
        kind(nnx.Rngs(0), **wrong)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("image_shape", [(1, 1, 1), (3, 2, 1), (7, 5, 1)])
def test_a_stride_takes_any_image(image_shape):
    sizes = {**SMALL, "image_shape": image_shape}
    model = pure(filled(lambda rngs: CNN(rngs, **sizes, pooling="stride")))
    images = np.zeros((2, *image_shape), np.float32)
    logits, _ = jax.eval_shape(model.apply, model.params, {}, images)
    assert logits.shape == (2, 10)


def test_a_module_with_an_attribute_without_a_hash_is_pure_too():
    class Own(nnx.Module):
        def __init__(self, rngs):
            self.scales = nnx.static([1.0, 2.0])
            self.dense = nnx.Linear(2, 2, rngs=rngs)

        def __call__(self, x, rngs=None):
            return self.dense(x) * self.scales[1]

    model = pure(Own(nnx.Rngs(0)))
    x = np.ones((1, 2), np.float32)
    expected = 2 * x @ np.asarray(model.params["dense"]["kernel"])
    np.testing.assert_allclose(jax.jit(model.apply)(model.params, {}, x)[0], expected, rtol=1e-6)
