"""Packed loops: every array comes back as it was, and a loop of fixed length trains alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes import adam
from jaxopt_notes.models import MLP
from jaxopt_notes.training.carry import packing
from jaxopt_notes.training.loop import compile_stretch, loop_of_length, one_step
from jaxopt_notes.training.progress import zero_sums
from jaxopt_notes.training.sharding import Layout
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, Normalization, make_train_step
from tests.slow_cases import slow_but
from tests.training.small_networks import drawn


def test_each_array_comes_back_with_its_shape_dtype_and_numbers():
    tree = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "large": np.arange(9, dtype=np.float32),
        "b": np.array([7, 8], np.float32),
        "t": np.int32(3),
        "n": np.int32(5),
        "key": jax.random.key(1),
        "half": np.ones(2, jnp.bfloat16),
    }
    pack, unpack = packing(tree, small=6)
    arrays = jax.jit(pack)(tree)
    assert sorted(x.shape for x in arrays) == [(), (2,), (2,), (8,), (9,)]
    back = jax.jit(unpack)(arrays)
    for name, x in tree.items():
        assert back[name].dtype == x.dtype
        numbers = jax.random.key_data if name == "key" else np.asarray
        np.testing.assert_array_equal(numbers(back[name]), numbers(x))


@pytest.mark.parametrize("broken", slow_but([3], [None, 3]))
def test_a_loop_of_fixed_length_does_what_the_stretch_does(broken):
    model, optimizer = drawn(MLP, (4, 4, 1), widths=(5,)), adam(1e-2)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 4, 4, 1), dtype=np.uint8)
    data = Batch(*jax.device_put((images, rng.integers(0, 10, 24, dtype=np.int32))))
    order = jax.device_put(np.arange(20, dtype=np.int32).reshape(5, 4))

    first = images[4 * (broken or 0)]

    def normalize(images):
        bad = broken is not None and (images[0] == first).all()
        return Normalization((0.1,), (0.3,))(images) + jnp.where(bad, jnp.nan, 0.0)

    step = make_train_step(model, optimizer, normalize)

    def fresh():
        return create(model, optimizer, jax.random.key(0)), jax.device_put(zero_sums())

    usual = compile_stretch(step, fresh()[0], data, order, "save")
    expected = usual(*fresh(), data, order, 0, 5)
    fixed = jax.jit(loop_of_length(one_step(step, "save", Layout()), 5))
    outcome = fixed(*fresh(), data, order, 0)
    for leaf, expected_leaf in zip(jax.tree.leaves(outcome[0]), jax.tree.leaves(expected[0])):
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(leaf, expected_leaf, rtol=1e-5, atol=1e-7)
    assert int(outcome[1].correct) == int(expected[1].correct)
    assert bool(outcome[1].failed) == bool(expected[1].failed) == (broken is not None)
    assert int(outcome[1].examples) == 4 * (5 if broken is None else broken)
