"""The plain layers against flax's own: value and gradients, ties and odd sizes included."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_notes.models.convolutions import conv_relu_pool, conv_stack, max_pool_2x2

SHAPES = [(2, 4, 4, 1), (3, 28, 28, 2), (1, 2, 6, 5), (2, 5, 7, 3), (4, 3, 2, 1)]


class Device(NamedTuple):
    """The attributes of a mesh's devices that we read; JAX's own class differs between versions."""

    device_kind: str


def flax_pool(x):
    return nnx.max_pool(x, (2, 2), strides=(2, 2))


def flax_conv_relu_pool(x, kernel, bias):
    conv = nnx.Conv(*kernel.shape[2:], (3, 3), dtype=x.dtype, rngs=nnx.Rngs(0))
    conv.kernel[...] = kernel
    conv.bias[...] = bias
    return flax_pool(nnx.relu(conv(x)))


def pull_back(function, cotangent_seed, *arguments):
    """The value, and the gradient of every argument under one random cotangent."""
    value, pullback = jax.vjp(function, *arguments)
    cotangent = np.random.default_rng(cotangent_seed).normal(size=value.shape)
    return value, *pullback(jnp.asarray(cotangent, value.dtype))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_pool_is_flax_pool_bit_for_bit(shape, dtype):
    # Whole numbers from a small range: most windows tie somewhere.
    x = jnp.asarray(np.random.default_rng(0).integers(-1, 2, shape), dtype)
    for ours, flax_value in zip(
        pull_back(max_pool_2x2, 1, x), pull_back(flax_pool, 1, x), strict=True
    ):
        np.testing.assert_array_equal(ours, flax_value)


def test_every_pattern_of_ties_has_flax_winner():
    patterns = np.stack(np.meshgrid(*[[0.0, 1.0, 2.0]] * 4), axis=-1).reshape(-1, 2, 2, 1)
    x = patterns.astype(np.float32)
    ours = jax.jit(jax.grad(lambda x: max_pool_2x2(x).sum()))(x)
    flax_gradient = jax.jit(jax.grad(lambda x: flax_pool(x).sum()))(x)
    np.testing.assert_array_equal(ours, flax_gradient)


def test_pool_passes_nan_on():
    pool = jax.jit(max_pool_2x2)
    for position in range(4):
        x = np.arange(4.0, dtype=np.float32)
        x[position] = np.nan
        assert np.isnan(pool(x.reshape(1, 2, 2, 1))).all()


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_conv_relu_pool_is_flax_layers(shape):
    # Small whole numbers: activations are exact, many are 0, and many windows tie.
    rng = np.random.default_rng(2)
    x = jnp.asarray(rng.integers(-1, 2, shape), jnp.float32)
    kernel = jnp.asarray(rng.integers(-1, 2, (3, 3, shape[-1], 4)), jnp.float32)
    bias = jnp.asarray([-1.0, 0.0, 1.0, 2.0], jnp.float32)
    ours = pull_back(conv_relu_pool, 3, x, kernel, bias)
    flax_values = pull_back(flax_conv_relu_pool, 3, x, kernel, bias)
    for a, b in zip(ours, flax_values, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", [None, "cpu", "TPU v5 lite", "NVIDIA H100 80GB HBM3"])
def test_a_mesh_that_says_what_its_devices_are_has_their_way_traced_alone(kind):
    device = kind and Device(kind)
    auto = (jax.sharding.AxisType.Auto,)
    mesh = jax.sharding.AbstractMesh((1,), ("data",), axis_types=auto, abstract_device=device)
    blocks = [(np.ones((3, 3, 1, 4), np.float32), np.zeros(4, np.float32))]
    with jax.sharding.use_abstract_mesh(mesh):
        traced = str(jax.make_jaxpr(conv_stack)(np.ones((2, 8, 8, 1), np.float32), blocks))
    assert ("conv_general_dilated" in traced) == (kind != "cpu")
    assert ("dot_general" in traced) == (kind in (None, "cpu"))
