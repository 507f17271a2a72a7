"""The summary says what the network does."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxopt_notes.models import CNN, MLP, parameter_count, pure, summarize, summary_text
from tests.models.filled import filled

# The notes' table: channels first there, last here.
NOTES = [
    ("image", (1, 28, 28), 0),
    ("conv 3×3, 32", (32, 28, 28), 9 * 32 + 32),
    ("relu", (32, 28, 28), 0),
    ("max pool 2×2", (32, 14, 14), 0),
    ("conv 3×3, 64", (64, 14, 14), 9 * 32 * 64 + 64),
    ("relu", (64, 14, 14), 0),
    ("max pool 2×2", (64, 7, 7), 0),
    ("flatten", (3136,), 0),
    ("dense 128", (128,), 3136 * 128 + 128),
    ("relu", (128,), 0),
    ("dense 10", (10,), 128 * 10 + 10),
]


def test_the_notes_cnn_has_the_notes_table():
    rows = summarize(filled(CNN))
    table = [(row.name, (*row.shape[-1:], *row.shape[:-1]), row.parameters) for row in rows]
    assert table == NOTES
    assert sum(row.parameters for row in rows) == 421_642
    conv1, conv2 = 28 * 28 * 32 * 9, 14 * 14 * 64 * 9 * 32
    counted = [row.multiply_adds for row in rows if row.multiply_adds]
    assert counted == [conv1, conv2, 3136 * 128, 128 * 10]
    assert summary_text(rows).splitlines()[-1].split() == ["total", "421,642", "4,241,152"]


SMALL_CNN = partial(CNN, image_shape=(9, 7, 2), features=(3, 4), hidden=5)
NETWORKS = [
    partial(SMALL_CNN, pooling=pooling, **parts)
    for pooling in ("max", "average", "stride", "gap")
    for parts in ({}, {"norm": "batch", "activation": "gelu", "dropout": 0.5})
] + [partial(MLP, image_shape=(3, 4, 2), widths=(6, 5), norm="batch", dropout=0.5)]


@pytest.mark.slow
@pytest.mark.parametrize("build", NETWORKS)
def test_shapes_and_parameters_are_those_of_the_running_network(build):
    network = build(nnx.Rngs(0))
    rows = summarize(network)
    assert network.dropout.deterministic is False  # the summary leaves the network as it was
    evaluated = nnx.clone(network)
    evaluated.eval()
    x = jnp.ones((2, *network.image_shape))
    for row, (name, apply) in zip(rows[1:], evaluated.layers(), strict=True):
        x = apply(x)
        assert (row.name, row.shape) == (name, x.shape[1:])
    assert sum(row.parameters for row in rows) == parameter_count(pure(network).params)


def test_operations_inside_a_jitted_function_count():
    class Jitted(nnx.Module):
        image_shape = (2, 2, 1)

        def layers(self):
            return [("dots", jax.jit(lambda x: x.reshape(-1, 4) @ jnp.ones((4, 3))))]

    assert summarize(Jitted())[1].multiply_adds == 12
