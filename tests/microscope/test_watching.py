"""`watch`: the numbers that it reads, and that it changes nothing."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx, serialization

import jaxopt_notes
from jaxopt_notes.microscope import readings, watch
from jaxopt_notes.microscope.links import link_names
from tests.virtual_devices import BY_DEFAULT

PARAMS = {  # of one shape: outside jit each operation is a program for each shape
    "dense": {"kernel": np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)},
    "bias": np.ones((2, 2), np.float32),
}
OPTIMIZERS = {
    "chain": lambda: optax.chain(optax.clip_by_global_norm(1.0), jaxopt_notes.adamw(0.1)),
    "optax": lambda: optax.chain(optax.clip(0.5), optax.adamw(0.1), optax.ema(0.9)),
    "momentum": lambda: jaxopt_notes.sgd(0.1, momentum=0.9),
    "schedule": lambda: optax.rmsprop(optax.cosine_decay_schedule(0.1, 50)),
    "masked": lambda: optax.masked(optax.adam(0.1), {"dense": True, "bias": False}),
    "lamb": lambda: optax.lamb(0.1),
    "MultiSteps": lambda: optax.MultiSteps(optax.adam(0.1), 3),
    "noise": lambda: optax.noisy_sgd(0.1, key=jax.random.key(0)),
}


def gradients(step):
    rng = np.random.default_rng(step)
    return jax.tree.map(lambda p: rng.normal(size=p.shape).astype(p.dtype), PARAMS)


def steps(optimizer, *grads, params=PARAMS, **extra):
    """(last state, updates and readings of each step) of one program."""

    def step(state, grads):
        updates, state = optimizer.update(grads, state, params, **extra)
        return state, (updates, readings(state))

    def run(grads):
        return jax.lax.scan(step, optimizer.init(PARAMS), grads)

    state, each = jax.jit(run)(jax.tree.map(lambda *g: np.stack(g), *grads))
    return state, *jax.tree.map(np.asarray, each)


def plain_keys(state):
    """A state whose random keys are arrays of numbers."""

    def numbers(x):
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if is_key else x

    return jax.tree.map(numbers, state)


def plain(optimizer):
    """The transformation that `optax.MultiSteps` stands for, or the optimizer itself."""
    return getattr(optimizer, "gradient_transformation", lambda: optimizer)()


WRAPS = {
    "jit": partial(jax.jit, compiler_options=BY_DEFAULT),
    "jit soon": jax.jit,
    "plain": lambda f: f,
}
# Compiled by default each takes a second, and outside jit each operation is a program.
QUICK = [("chain", "jit"), ("MultiSteps", "jit"), ("noise", "jit soon"), ("chain", "plain")]
PAIRS = [
    pytest.param(name, wrap, marks=[] if (name, wrap) in QUICK else pytest.mark.slow)
    for wrap in WRAPS
    for name in OPTIMIZERS
    # Compiled with less effort, other programs round differently.
    if wrap != "jit soon" or name == "noise"
]


@pytest.mark.parametrize(("name", "wrap"), PAIRS)
def test_the_updates_and_the_inner_state_are_the_same_bits(name, wrap):
    watched, bare = watch(OPTIMIZERS[name](), every=2), plain(OPTIMIZERS[name]())
    state, expected_state = watched.init(PARAMS), bare.init(PARAMS)
    step, expected_step = map(WRAPS[wrap], (watched.update, bare.update))
    for i in range(5):
        updates, state = step(gradients(i), state, PARAMS)
        expected, expected_state = expected_step(gradients(i), expected_state, PARAMS)
        jax.tree.map(np.testing.assert_array_equal, updates, expected)
    jax.tree.map(np.testing.assert_array_equal, plain_keys(state.inner), plain_keys(expected_state))


def test_each_reading_is_the_quantity_that_it_names():
    alpha, eps = 0.1, 1e-3
    optimizer = watch(
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(alpha)), every=1, eps=eps
    )
    grads = {
        "dense": {"kernel": np.array([[3.0, 1e-4], [0.0, 4.0]], np.float32)},
        "bias": np.zeros((2, 2), np.float32),
    }
    _, updates, rows = steps(optimizer, grads)
    read = {name: float(x[0]) for name, x in rows.items()}

    g, theta = grads["dense"]["kernel"], PARAMS["dense"]["kernel"]
    u = updates["dense"]["kernel"][0]
    norm = np.linalg.norm
    expected = {
        "gradient_norm": norm(g),
        "norm_after/0 clip_by_global_norm": 1.0,
        "norm_after/1 scale_by_adam": norm(u) / alpha,
        "update_norm": norm(u),
        "parameter_norm": norm(theta),
        "update_ratio": norm(u) / norm(theta),
        "effective_learning_rate": norm(u) / norm(g),
        # ν = 0.001 g² after clipping to norm 1: √ν of 1e-4 and of 0 is below ε
        "second_moment_below_eps": 0.5,
    }
    for quantity, value in expected.items():
        assert read.pop(f"dense/kernel/{quantity}") == pytest.approx(value, rel=1e-6), quantity
    assert read["bias/second_moment_below_eps"] == 1
    assert read["0 clip_by_global_norm/clipped"] == 1
    assert read["step"] == 1
    assert {name.rpartition("/")[0] for name in read} >= {"bias"}


def test_clipping_is_counted_over_the_measured_steps():
    optimizer = watch(optax.chain(optax.clip(1.0), optax.sgd(0.1)), every=2)
    scales = (9, 9, 0, 9, 0, 0, 9)  # measured: the first, third, fifth and seventh
    grads = [jax.tree.map(lambda p, s=scale: np.full_like(p, s), PARAMS) for scale in scales]
    state, _, read = steps(optimizer, *grads)
    assert float(read["0 clip/clipped"][-1]) == 0.5
    assert int(state.measured) == 4
    assert float(read["bias/gradient_norm"][-1]) == pytest.approx(9 * 4**0.5)


def test_between_two_measurements_the_readings_stay():
    optimizer = watch(optax.sgd(0.1), every=3)
    norms = steps(optimizer, *map(gradients, range(7)))[2]["bias/gradient_norm"]
    assert norms[0] == norms[1] == norms[2] != norms[3] == norms[5] != norms[6]


def test_leaves_are_grouped():
    optimizer = watch(optax.adam(0.1), group=lambda name: "all", every=1)
    grads = gradients(0)
    read = steps(optimizer, grads)[2]
    whole = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grads)])
    assert float(read["all/gradient_norm"][0]) == pytest.approx(float(np.linalg.norm(whole)))
    assert "bias/gradient_norm" not in read


def test_links_of_chains_in_chains_are_named():
    inner = optax.named_chain(("first", optax.adam(0.1)), ("second", optax.scale(2.0)))
    assert link_names(optax.chain(optax.clip(1.0), inner)) == (
        "clip",
        "scale_by_adam",
        "scale",
        "scale",
    )
    assert link_names(jaxopt_notes.adamw(0.1)) == ("adam", "weight_decay", "learning_rate")
    assert link_names(optax.masked(optax.adam(0.1), True)) == ("masked",)


NESTED = {
    "MultiSteps": lambda w: optax.MultiSteps(w, 2).gradient_transformation(),
    "masked": lambda w: optax.masked(w, {"dense": True, "bias": False}),
    "chain": lambda w: optax.chain(optax.clip(1.0), w),
    "apply_if_finite": lambda w: optax.apply_if_finite(w, 3),
    "inject_hyperparams": lambda w: optax.inject_hyperparams(
        lambda learning_rate: optax.chain(w, optax.scale(learning_rate))
    )(learning_rate=0.1),
}


@pytest.mark.parametrize("name", NESTED)
def test_readings_are_found_at_any_depth(name):
    optimizer = NESTED[name](watch(optax.adam(0.1), every=1))
    state = optimizer.init(PARAMS)
    step = jax.jit(optimizer.update)
    for i in range(2):
        _, state = step(gradients(i), state, PARAMS)
    read = readings({"any": [state]})
    assert float(read["dense/kernel/gradient_norm"]) > 0
    assert ("bias/gradient_norm" in read) == (name != "masked")


def test_two_watched_optimizers_are_numbered():
    optimizer = optax.partition(
        {"a": watch(optax.adam(0.1)), "b": watch(optax.sgd(0.1))}, {"dense": "a", "bias": "b"}
    )
    read = steps(optimizer, gradients(0))[2]
    assert "0/dense/kernel/update_norm" in read
    assert "1/bias/update_norm" in read


def test_a_state_without_one_is_refused():
    with pytest.raises(ValueError, match="holds no watched optimizer"):
        readings(optax.adam(0.1).init(PARAMS))
    with pytest.raises(ValueError, match="every=0: must be at least 1"):
        watch(optax.adam(0.1), every=0)


def test_in_a_scan_and_through_flax_serialization():
    optimizer = watch(jaxopt_notes.adam(0.1), every=2)

    def step(carry, grads):
        params, state = carry
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), readings(state)

    grads = jax.tree.map(lambda *g: np.stack(g), *map(gradients, range(4)))
    (_, state), rows = jax.lax.scan(step, (PARAMS, optimizer.init(PARAMS)), grads)
    assert rows["bias/gradient_norm"].shape == (4,)
    empty = jax.tree.map(np.zeros_like, state)
    restored = serialization.from_bytes(empty, serialization.to_bytes(state))
    jax.tree.map(np.testing.assert_array_equal, restored, state)


def test_in_nnx_optimizer():
    model = nnx.jit(lambda: nnx.Linear(2, 2, rngs=nnx.Rngs(0)))()
    optimizer = nnx.Optimizer(model, watch(jaxopt_notes.adamw(0.1), every=1), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        grads = nnx.grad(lambda model: (model(jnp.ones((4, 2))) ** 2).mean())(model)
        optimizer.update(model, grads)

    step(model, optimizer)
    assert float(readings(optimizer)["kernel/update_ratio"]) > 0


def test_an_optimizer_that_needs_the_losss_value_gets_it():
    optimizer = watch(optax.polyak_sgd(1.0), every=1)
    read = steps(optimizer, gradients(0), value=0.5)[2]
    assert float(read["bias/update_norm"][0]) > 0


def test_without_parameters_what_needs_them_is_nan():
    optimizer = watch(optax.sgd(0.1), every=1)
    read = steps(optimizer, gradients(0), params=None)[2]
    assert np.isnan(read["bias/parameter_norm"][0])
    assert np.isnan(read["bias/update_ratio"][0])
    assert float(read["bias/update_norm"][0]) > 0
