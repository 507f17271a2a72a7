"""The first state, drawn by one program that a thread compiles."""

import threading

import jax
import numpy as np
import pytest
from flax import nnx

from jaxopt_notes.models import MLP, pure
from jaxopt_notes.optimizers import adam
from jaxopt_notes.training.drawing import begin_drawing
from jaxopt_notes.training.state import create


def small(rngs):
    return MLP(rngs, (2, 2, 1), widths=(4,), norm="batch", dropout=0.1)


def bits(x):
    is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x)


@pytest.fixture(scope="module")
def drawing():
    return begin_drawing(small, adam(1e-3), averaged=True)


@pytest.mark.parametrize("seed", [0, 3, 2**31 + 5, 2**32 - 1])
def test_the_first_state_is_flax_own_bit_for_bit(drawing, seed):
    key = jax.random.key(seed)
    flax_state = create(pure(small(nnx.Rngs(seed))), adam(1e-3), key, averaged=True)
    ours = drawing.state(seed)
    assert jax.tree.structure(ours) == jax.tree.structure(flax_state)
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(flax_state)):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(bits(x), bits(y))


def test_its_shapes_and_network_are_known_before_it_is_drawn(drawing):
    like, state = drawing.shapes, drawing.state(0)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), like) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
    logits, _ = jax.jit(drawing.model.apply)(state.params, state.batch_stats, np.ones((1, 2, 2, 1)))
    assert logits.shape == (1, 10)


def test_the_step_can_be_traced_while_the_program_compiles(monkeypatch):
    """The compilation waits for the main thread, so the main thread must not wait for it."""
    going, compile_ = threading.Event(), jax.stages.Lowered.compile

    def slow(*args, **kwargs):
        assert going.wait(60)
        return compile_(*args, **kwargs)

    monkeypatch.setattr(jax.stages.Lowered, "compile", slow)
    drawing = begin_drawing(small, adam(1e-3))
    going.set()
    assert drawing.state(1).step == 0
