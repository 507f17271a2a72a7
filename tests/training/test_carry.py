"""Packed loops: every array comes back as it was, and a loop of fixed length trains alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_notes import adam
from jaxopt_notes.models import MLP, pure
from jaxopt_notes.training.carry import packing
from jaxopt_notes.training.loop import compile_stretch, loop_of_length, one_step
from jaxopt_notes.training.progress import zero_sums
from jaxopt_notes.training.sharding import Layout
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, Normalization, make_train_step
from tests.slow_cases import slow_but


def test_each_array_comes_back_with_its_shape_dtype_and_numbers():
    tree = {
        "w": jnp.arange(6.0).reshape(2, 3),
        "large": jnp.arange(9.0),
        "b": jnp.array([7.0, 8.0]),
        "t": jnp.int32(3),
        "n": jnp.int32(5),
        "key": jax.random.key(1),
        "half": jnp.ones(2, jnp.bfloat16),
    }
    pack, unpack = packing(tree, small=6)
    arrays = pack(tree)
    assert sorted(x.shape for x in arrays) == [(), (2,), (2,), (8,), (9,)]
    back = unpack(arrays)
    for name, x in tree.items():
        assert back[name].dtype == x.dtype
        assert jnp.array_equal(back[name], x)


@pytest.mark.parametrize("broken", slow_but([3], [None, 3]))
def test_a_loop_of_fixed_length_does_what_the_stretch_does(broken):
    model, optimizer = pure(MLP(nnx.Rngs(0), (4, 4, 1), widths=(5,))), adam(1e-2)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (24, 4, 4, 1), dtype=np.uint8))
    data = Batch(images, jnp.asarray(rng.integers(0, 10, 24, dtype=np.int32)))
    order = jnp.arange(20).reshape(5, 4)

    def normalize(images):
        bad = broken is not None and (images[0] == data.images[4 * broken]).all()
        return Normalization((0.1,), (0.3,))(images) + jnp.where(bad, jnp.nan, 0.0)

    step = make_train_step(model, optimizer, normalize)

    def fresh():
        return create(model, optimizer, jax.random.key(0)), jax.tree.map(jnp.asarray, zero_sums())

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
