"""`packed` gives the plain optimizer's numbers, and its state can be had in the plain form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes import adam, adamw, pack_state, packed, rmsprop, sgd, unpack_state
from tests.slow_cases import slow_but

SCHEDULE = optax.cosine_decay_schedule(0.1, 20)


def decay_matrices(params):
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, params)


CASES = {
    "sgd": (sgd, (0.1,), {}),
    "momentum": (sgd, (SCHEDULE,), {"momentum": 0.9, "nesterov": True}),
    "rmsprop": (rmsprop, (0.01,), {"centered": True, "momentum": 0.9}),
    "adam": (adam, (SCHEDULE,), {"mu_dtype": jnp.bfloat16}),
    "adamw": (adamw, (0.01,), {"weight_decay": 0.1}),
    "adamw-mask": (adamw, (0.01,), {"weight_decay": 0.1, "mask": decay_matrices}),
    "optax-lion": (optax.lion, (0.01,), {}),
}
# A schedule with a dtype of its own, and a mask: the other cases take the same code paths.
QUICK = ("adam", "adamw-mask")


def tree(seed, dtype=jnp.float32):
    """Small leaves of two dtypes, a scalar, an empty leaf, None, and a large leaf."""
    r = np.random.default_rng(seed)

    def leaf(*shape, dtype=dtype):
        return jax.device_put(np.asarray(r.normal(size=shape)).astype(dtype))

    layers = [{"w": leaf(4, 3), "b": leaf(3)} for _ in range(5)]
    return {
        "layers": layers,
        "half": [leaf(6, dtype=jnp.bfloat16), leaf(2, dtype=jnp.bfloat16)],
        "scalar": leaf(),
        "empty": leaf(0, 2),
        "none": None,
        "large": leaf(12, 5),
    }


def make(name):
    factory, args, kwargs = CASES[name]
    return factory(*args, **kwargs), packed(factory, small=20, block=32)(*args, **kwargs)


def run(optimizer, params, state, seeds):
    @jax.jit
    def step(grads, state, params):
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for seed in seeds:
        params, state = step(tree(seed), state, params)
    return params, state


def begun(optimizer, params):
    return jax.jit(optimizer.init)(params)


def assert_close(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        assert x.dtype == y.dtype
        tolerance = 1e-2 if x.dtype == jnp.bfloat16 else 2e-6
        np.testing.assert_allclose(
            np.asarray(x, np.float64), np.asarray(y, np.float64), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("name", slow_but(QUICK, CASES))
def test_the_steps_and_the_state_are_the_plain_optimizers(name):
    plain, pack = make(name)
    params = tree(30)
    expected, expected_state = run(plain, params, begun(plain, params), range(8))
    got, state = run(pack, params, begun(pack, params), range(8))
    assert_close(got, expected)
    assert_close(jax.jit(unpack_state)(state), expected_state)


@pytest.mark.parametrize("name", slow_but(["adamw-mask"], CASES))
def test_a_run_moves_between_the_forms_in_mid_training(name):
    plain, pack = make(name)
    start = tree(30)
    expected, _ = run(plain, start, begun(plain, start), range(8))

    params, state = run(pack, start, begun(pack, start), range(4))
    assert_close(run(plain, params, unpack_state(state), range(4, 8))[0], expected)

    params, state = run(plain, start, begun(plain, start), range(4))
    packed_state = pack_state(state, like=begun(pack, start))
    assert_close(run(pack, params, packed_state, range(4, 8))[0], expected)


def test_small_leaves_share_blocks_by_dtype_and_mask_and_large_ones_stay():
    params = tree(0)
    mu = jax.eval_shape(make("adam")[1].init, params)[0].mu
    assert [x.shape for x in mu.large] == [(12, 5)]
    assert all(x.ndim == 1 and x.size <= 32 for x in mu.blocks)
    assert sum(x.size for x in mu.blocks) == 5 * 15 + 8 + 1
    _, _, kwargs = CASES["adamw-mask"]
    layout = packed(adamw, small=20, block=32)(0.01, **kwargs).init(params)[0].mu.layout
    matrices: dict[str, set[bool]] = {}
    for place in jax.tree.leaves(layout):
        number, shape = place.split(":")
        if number != "large":
            matrices.setdefault(number, set()).add("," in shape)
    assert all(len(kinds) == 1 for kinds in matrices.values())


def test_a_mask_as_a_tree_or_a_prefix():
    x, y = np.ones(3, np.float32), np.ones(2, np.float32)
    params = {"a": {"x": x, "y": y}, "b": y}
    grads = jax.tree.map(np.zeros_like, params)
    for mask in ({"a": True, "b": False}, {"a": {"x": True, "y": True}, "b": False}):
        optimizer = packed(adamw)(1.0, weight_decay=0.5, mask=mask)
        step = jax.jit(lambda g, p, o=optimizer: o.update(g, o.init(p), p)[0])
        updates = step(grads, params)
        np.testing.assert_allclose(updates["a"]["x"], -0.5)
        np.testing.assert_allclose(updates["b"], 0.0)


@pytest.mark.parametrize(
    ("factory", "operation"),
    [
        (lambda: optax.chain(optax.clip_by_global_norm(1.0), adam(0.1)), "reduce_sum"),
        (lambda: optax.lamb(0.1), "reduce"),
        (lambda: optax.stateless(lambda g, p: jnp.cumsum(g)), "cumsum"),
        (lambda: optax.stateless(lambda g, p: jnp.sort(g)), "sort"),
        (lambda: optax.stateless(lambda g, p: jnp.roll(g, 1)), "slice"),
    ],
)
def test_what_is_not_elementwise_is_refused_by_name(factory, operation):
    with pytest.raises(ValueError, match=f"not elementwise .*{operation}"):
        packed(factory)().init({"w": jnp.ones(3)})


def test_a_missing_gradient_and_mixed_dtypes_are_refused():
    params = {"a": jnp.ones(3), "b": jnp.ones(3)}
    optimizer = packed(sgd)(0.1, momentum=0.9)
    state = optimizer.init(params)
    with pytest.raises(ValueError, match="None"):
        optimizer.update({"a": jnp.ones(3), "b": None}, state)
    with pytest.raises(ValueError, match="bfloat16, float32"):
        optimizer.update({"a": jnp.ones(3), "b": jnp.ones(3, jnp.bfloat16)}, state)


def test_inside_chain_scan_and_vmap():
    params = {"a": np.ones(3, np.float32), "b": np.ones((2, 2), np.float32)}
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), packed(adam)(0.1))
    plain = optax.chain(optax.clip_by_global_norm(1.0), adam(0.1))

    def train(optimizer, scale):
        def step(carry, _):
            params, state = carry
            grads = jax.tree.map(lambda p: scale * p, params)
            updates, state = optimizer.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), None, 5)[0][0]

    scales = np.array([0.1, 1.0, 10.0], np.float32)
    got, expected = (jax.jit(jax.vmap(lambda s, o=o: train(o, s))) for o in (optimizer, plain))
    assert_close(got(scales), expected(scales))
