"""The quick convolutions for CPUs against flax's layers, in float32 and in float64.

Where every sum is a small whole number float32 is exact, and both must agree to the bit: ties,
pre-activations of exactly 0 and all. On images of real numbers they agree to rounding.
"""

import functools
import itertools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax import export, lax

from jaxopt_notes.models import convolutions, winograd
from tests.slow_cases import slow_but
from tests.virtual_devices import BY_DEFAULT, COMPILE_SOON, environment


def flax_conv_stack(x, blocks):
    for kernel, bias in blocks:
        conv = nnx.Conv(*kernel.shape[2:], (3, 3), param_dtype=x.dtype, rngs=nnx.Rngs(0))
        conv.kernel[...] = kernel
        conv.bias[...] = bias
        x = nnx.max_pool(nnx.relu(conv(x)), (2, 2), strides=(2, 2))
    return x


@functools.partial(jax.jit, static_argnums=0)
def pull_back(function, *arguments):
    """The value, and every argument's gradient, under one cotangent of small whole numbers."""
    value, pullback = jax.vjp(function, *arguments)
    cotangent = np.random.default_rng(99).integers(-2, 3, value.shape)
    return value, *pullback(jnp.asarray(cotangent, value.dtype))


def whole_number_problem(seed, batch, rows, columns, channels):
    """Images and blocks of small whole numbers: float32 sums are exact, ties and zeros abound."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jax.device_put(rng.integers(-1, 2, shape).astype(np.float32))

    pairs = itertools.pairwise(channels)
    return draw(batch, rows, columns, channels[0]), [(draw(3, 3, i, o), draw(o)) for i, o in pairs]


def blank_images(count, size=28, background=-0.42):
    """Images like MNIST's normalised ones: grey strokes near the middle of a blank background."""
    rng = np.random.default_rng(1)
    images = np.full((count, size, size, 1), background, np.float32)
    for image in images:
        for _ in range(3):
            row, column = rng.integers(size // 4, size // 2, 2)
            height, width = rng.integers(2, size // 3, 2)
            stroke = image[row : row + height, column : column + width]
            stroke[...] = rng.uniform(background, 2.8, stroke.shape)
    return jnp.asarray(images)


def he_blocks(*channels):
    rng = np.random.default_rng(2)
    blocks = []
    for i, o in itertools.pairwise(channels):
        kernel = rng.normal(scale=np.sqrt(2 / (9 * i)), size=(3, 3, i, o))
        bias = rng.normal(scale=0.1, size=o)
        blocks.append((jnp.asarray(kernel, jnp.float32), jnp.asarray(bias, jnp.float32)))
    return blocks


def assert_close(ours, reference, tolerance):
    """Every leaf within `tolerance` of the reference's largest entry."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(reference), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


def assert_equal(ours, expected):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


# Each example has its own shapes: compiling takes the time, and shrinking would take minutes.
pull_back_compiled_fast = jax.jit(
    pull_back, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0}
)


@pytest.mark.slow
@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 70),
    half_rows=st.integers(2, 8),
    half_columns=st.integers(2, 8),
    channels=st.lists(st.integers(1, 9), min_size=2, max_size=2),
)
def test_one_block_is_flax_block_bit_for_bit(seed, batch, half_rows, half_columns, channels):
    x, blocks = whole_number_problem(seed, batch, 2 * half_rows, 2 * half_columns, channels)
    assert_equal(
        pull_back_compiled_fast(winograd.conv_stack, x, blocks),
        pull_back_compiled_fast(flax_conv_stack, x, blocks),
    )


@pytest.mark.parametrize(
    ("batch", "channels"), slow_but([(1, (1, 4, 5))], [(1, (1, 4, 5)), (33, (4, 2, 3))])
)
def test_a_stack_is_flax_stack_bit_for_bit(batch, channels):
    x, blocks = whole_number_problem(5, batch, 8, 12, channels)
    assert_equal(pull_back(winograd.conv_stack, x, blocks), pull_back(flax_conv_stack, x, blocks))


@pytest.mark.parametrize("channels", [1, 4])
def test_every_pattern_of_ties_has_flax_winner(channels):
    # One image whose 9 × 9 windows are all the patterns of {-1, 0, 1}; the kernel passes it on.
    patterns = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 4), axis=-1).reshape(9, 9, 2, 2)
    image = patterns.transpose(0, 2, 1, 3).reshape(1, 18, 18, 1)
    x = np.repeat(image, channels, axis=3).astype(np.float32)
    kernel = np.zeros((3, 3, channels, channels), np.float32)
    kernel[1, 1] = np.eye(channels)
    blocks = [(kernel, np.zeros(channels, np.float32))]
    assert_equal(pull_back(winograd.conv_stack, x, blocks), pull_back(flax_conv_stack, x, blocks))


@pytest.mark.slow
def test_blank_images_agree_with_flax_and_with_float64():
    x, blocks = blank_images(40), he_blocks(1, 32, 64)
    z = lax.conv_general_dilated(
        x, blocks[0][0], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    windows = np.asarray(z).reshape(40, 14, 2, 14, 2, 32)
    assert (windows.max((2, 4)) == windows.min((2, 4))).mean() > 0.2, "too few windows tie"

    ours = pull_back(winograd.conv_stack, x, blocks)
    flax_results = pull_back(flax_conv_stack, x, blocks)
    assert_close(ours, flax_results, 1e-5)
    with jax.enable_x64(True):
        x, blocks = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), (x, blocks))
        exact = pull_back(flax_conv_stack, x, blocks)
        assert exact[0].dtype == jnp.float64
    assert_close(ours, exact, 1e-5)


def test_nan_comes_through():
    x, blocks = whole_number_problem(6, 3, 4, 4, (5, 2))
    x = np.array(x)
    x[1] = np.nan
    assert np.isnan(jax.jit(winograd.conv_stack)(x, blocks)[1]).all()


@pytest.mark.slow
def test_vmap_over_models_and_scan_over_steps():
    x, _ = whole_number_problem(7, 6, 8, 8, (4, 3))
    models = [whole_number_problem(seed, 1, 8, 8, (4, 3))[1] for seed in (8, 9)]

    def loss(blocks, x, conv_stack):
        return (conv_stack(x, blocks) ** 2).sum()

    def gradients(conv_stack):
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
        return jax.jit(jax.vmap(jax.grad(loss, (0, 1)), (0, None, None)), static_argnums=2)(
            stacked, x, conv_stack
        )

    def trained(conv_stack):
        def step(blocks, x):
            value, gradient = jax.value_and_grad(loss)(blocks, x, conv_stack)
            return jax.tree.map(lambda w, g: w - jnp.sign(g), blocks, gradient), value

        return jax.jit(lambda blocks: lax.scan(step, blocks, jnp.stack([x, -x, x[::-1]])))(
            models[0]
        )

    assert_equal(gradients(convolutions.conv_stack), gradients(flax_conv_stack))
    assert_equal(trained(convolutions.conv_stack), trained(flax_conv_stack))


@pytest.mark.slow
def test_unwanted_image_gradient_costs_nothing_and_memory_stays_low():
    x, blocks = blank_images(128), he_blocks(1, 32, 64)

    def compiled(wanted):
        gradient = jax.grad(lambda x, blocks: winograd.conv_stack(x, blocks).sum(), wanted)
        before_llvm = BY_DEFAULT | {"xla_backend_optimization_level": 0}  # it knows the buffers
        return jax.jit(gradient).lower(x, blocks).compile(before_llvm)

    lean, full = compiled(1), compiled((0, 1))
    dots = [c.as_text().count(" dot(") for c in (lean, full)]
    # The image's cotangent is one dot for each number of a patch, in each lane.
    assert dots[1] - dots[0] == 16 * winograd.LANES
    assert lean.memory_analysis().temp_size_in_bytes < 24e6


SHARDED = """
import jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from tests.models.test_winograd import assert_equal, pull_back, whole_number_problem
from jaxopt_notes.models.convolutions import conv_stack

assert jax.device_count() == 8
x, blocks = whole_number_problem(10, 64, 8, 8, (1, 4, 3))
alone = pull_back(conv_stack, x, blocks)
mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
shared = jax.device_put(x, NamedSharding(mesh, P("data")))
blocks = jax.device_put(blocks, NamedSharding(mesh, P()))
assert_equal(pull_back(conv_stack, shared, blocks), alone)
local = jax.shard_map(conv_stack, mesh=mesh, in_specs=(P("data"), P()), out_specs=P("data"))
assert_equal(pull_back(local, shared, blocks), alone)
"""


@pytest.mark.slow
def test_batch_sharded_over_devices():
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    variables = environment(8, COMPILE_SOON) | {"PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", SHARDED], env=variables, check=True, timeout=120)


def lowered(x, blocks):
    return jax.jit(convolutions.conv_stack).lower(x, blocks).as_text()


def test_cpu_runs_float32_images_that_halve_evenly_without_convolutions():
    assert "stablehlo.convolution" not in lowered(*whole_number_problem(11, 2, 8, 8, (1, 2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "columns", "dtype"),
    [(8, 8, jnp.bfloat16), (8, 8, jnp.float16), (7, 8, jnp.float32), (8, 6, jnp.float32)],
)
def test_everything_else_runs_the_plain_layers(rows, columns, dtype):
    x, blocks = jax.tree.map(
        lambda a: a.astype(dtype), whole_number_problem(12, 3, rows, columns, (1, 2, 3))
    )
    assert "stablehlo.convolution" in lowered(x, blocks)
    assert_equal(convolutions.conv_stack(x, blocks), flax_conv_stack(x, blocks))


def test_kernel_of_another_size_is_not_cut_down_to_3x3():
    x, _ = whole_number_problem(14, 2, 8, 8, (1, 2))
    assert "stablehlo.convolution" in lowered(
        x, [(np.ones((5, 5, 1, 2), np.float32), np.zeros(2, np.float32))]
    )


@pytest.mark.slow
def test_one_export_serves_cpu_gpu_and_tpu():
    x, blocks = whole_number_problem(13, 4, 8, 8, (1, 4, 3))

    def gradient(x, blocks):
        return pull_back(convolutions.conv_stack, x, blocks)

    exported = export.export(jax.jit(gradient), platforms=("cpu", "cuda", "tpu"))(x, blocks)
    assert_equal(exported.call(x, blocks), gradient(x, blocks))
    for platform, has_convolution in [("cpu", False), ("cuda", True), ("tpu", True)]:
        module = export.export(jax.jit(gradient), platforms=(platform,))(x, blocks).mlir_module()
        assert ("stablehlo.convolution" in module) == has_convolution
