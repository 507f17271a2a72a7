"""Small networks of these tests. NumPy draws them: Flax's drawing takes longer than the tests."""

import functools

import jax
import numpy as np
from flax import nnx

from jaxopt_notes.models import PureModel, pure


class Dense(nnx.Module):
    """No convolution: a stretch is one loop on the device, on every backend."""

    def __init__(self, rngs):
        self.out = nnx.Linear(784, 10, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        return self.out(x.reshape(x.shape[0], -1))


@functools.cache
def drawn(make, *shape, **settings) -> PureModel:
    """The model of `make(rngs, *shape, **settings)`; normal weights, the rest as Flax has it."""
    model = pure(nnx.eval_shape(lambda: make(nnx.Rngs(0), *shape, **settings)))
    random = np.random.default_rng(0)

    def fill(path, x):
        if x.ndim > 1:
            numbers = random.normal(scale=(x.shape[-1] / x.size) ** 0.5, size=x.shape)
        else:
            numbers = np.full(x.shape, path[-1].key in ("scale", "var"))
        return jax.device_put(numbers.astype(x.dtype))

    trees = model.params, model.batch_stats
    return PureModel(model.apply, *jax.tree_util.tree_map_with_path(fill, trees))
