"""Trees of random gradients, and steps along them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

T, STEPS = 5, 12


def rate(k):
    return 0.1 / (1 + k)


def tree(seed, dtype=jnp.float32, scalar=True):
    """Leaves of one shape, and a scalar: outside jit, each operation is compiled for each shape."""
    r = np.random.default_rng(seed)

    def leaf(*shape):
        return jax.device_put(np.asarray(r.normal(size=shape)).astype(dtype))

    return {"w": leaf(3, 2), "b": [leaf(3, 2), None]} | ({"scalar": leaf()} if scalar else {})


def run(optimizer, state, params, seeds, jit=False):
    update = jax.jit(optimizer.update) if jit else optimizer.update
    for seed in seeds:
        updates, state = update(tree(seed, scalar="scalar" in params), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def assert_same(a, b, tolerance=0.0):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(np.float64(x), np.float64(y), rtol=tolerance, atol=tolerance)
