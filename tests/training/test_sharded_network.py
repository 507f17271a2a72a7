"""Gradient and batch statistics are the whole batch's when it is spread over devices."""

import json
import subprocess
import sys

import pytest

from tests.virtual_devices import COMPILE_SOON, environment

SCRIPT = """
import json
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxopt_notes import sgd
from jaxopt_notes.models import CNN, pure
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, Normalization, make_train_step

assert jax.device_count() == 8
mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
spread = NamedSharding(mesh, PartitionSpec("data"))
whole = NamedSharding(mesh, PartitionSpec())
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (16, 8, 8, 1)).astype(np.uint8)
images //= np.linspace(1, 8, 16).astype(np.uint8)[:, None, None, None]  # each device's differ
batch = Batch(images, rng.integers(0, 10, 16).astype(np.int32))
shape = {"image_shape": (8, 8, 1)}
networks = {
    "cnn": CNN(nnx.Rngs(0), features=(3,), hidden=5, **shape),
    "cnn, batch norm, dropout": CNN(
        nnx.Rngs(0), features=(4,), hidden=5, norm="batch", dropout=0.5, **shape
    ),
}
distances = {}
for name, network in networks.items():
    network = pure(network)
    step = make_train_step(network, sgd(1.0), Normalization((0.0,), (1.0,)))
    state = create(network, sgd(1.0), jax.random.key(0))
    alone_step = jax.jit(step)
    alone, _ = alone_step(state, batch)
    sharded = jax.jit(step, in_shardings=(whole, spread), out_shardings=whole)
    together, _ = sharded(jax.device_put(state, whole), jax.device_put(batch, spread))
    # What a single device's share would give: two images, as often as keeps the shape.
    first, _ = alone_step(state, Batch(*(x[[0, 1] * 8] for x in batch)))

    def largest(a, b):
        differences = jax.tree.map(lambda x, y: jnp.abs(x - y).max(), a, b)
        return max(map(float, jax.tree.leaves(differences)), default=0.0)

    distances[name] = {
        "gradient": largest(together.params, alone.params),
        "statistics": largest(together.batch_stats, alone.batch_stats),
        "share's gradient": largest(first.params, alone.params),
        "share's statistics": largest(first.batch_stats, alone.batch_stats),
    }
print(json.dumps(distances))
"""


@pytest.mark.slow
def test_eight_devices_give_the_gradient_and_statistics_of_one():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=environment(8, COMPILE_SOON),
    )
    assert done.returncode == 0, done.stderr
    for name, largest in json.loads(done.stdout).items():
        assert largest["gradient"] < 1e-5, name
        assert largest["share's gradient"] > 1e-3, name  # what a forgotten sum would show
        assert largest["statistics"] < 1e-6, name
        if "batch norm" in name:
            assert largest["share's statistics"] > 1e-3, name
