"""Trees of random gradients, and steps along them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

T, STEPS = 5, 12


def rate(k):
    return 0.1 / (1 + k)


def tree(seed, dtype=jnp.float32):
    r = np.random.default_rng(seed)

    def leaf(*shape):
        return jnp.asarray(r.normal(size=shape), dtype)

    return {"w": leaf(3, 2), "b": [leaf(3, 2), None], "scalar": leaf()}


def run(optimizer, state, params, seeds, jit=False):
    update = jax.jit(optimizer.update) if jit else optimizer.update
    for seed in seeds:
        updates, state = update(tree(seed), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def assert_same(a, b, tolerance=0.0):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(np.float64(x), np.float64(y), rtol=tolerance, atol=tolerance)
