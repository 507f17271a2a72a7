"""Our optimizers inside the wrappers of optax and Flax, compared with optax's in the same place."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from flax.training.train_state import TrainState

import jaxopt_notes
from jaxopt_notes.verification.settings import optax_function
from tests.equality.cases import OPTIMIZERS
from tests.equality.comparison import (
    assert_same_bits,
    assert_same_kind,
    assert_same_path,
    run,
    ulps_apart,
)
from tests.equality.gradients import parameters
from tests.slow_cases import slow_but

ARGUMENTS = {name: {"learning_rate": 0.1} | OPTIMIZERS[name] for name in OPTIMIZERS}
OURS = {name: getattr(jaxopt_notes, name) for name in ARGUMENTS}
THEIRS = {name: optax_function(name) for name in ARGUMENTS}
each_optimizer = pytest.mark.parametrize("name", ARGUMENTS)

Factory = Callable[..., optax.GradientTransformation]


def masked_out(params: Any) -> Any:
    """True for every second leaf."""
    leaves, tree = jax.tree.flatten(params)
    return tree.unflatten([i % 2 == 0 for i in range(len(leaves))])


def labels(params: Any) -> Any:
    return {name: name for name in params}


WRAPPERS: dict[str, Callable[[Factory, dict[str, Any]], Any]] = {
    "chain": lambda make, a: optax.chain(
        optax.clip_by_global_norm(1.0), make(**a), optax.scale(0.5)
    ),
    "inject_hyperparams": lambda make, a: optax.inject_hyperparams(make)(**a),
    "inject_hyperparams with a schedule": lambda make, a: optax.inject_hyperparams(make)(
        **(a | {"learning_rate": optax.cosine_decay_schedule(0.1, 10)})
    ),
    "partition": lambda make, a: optax.partition(
        {"first": make(**a), "second": make(**(a | {"learning_rate": 0.01}))}, labels
    ),
    "masked": lambda make, a: optax.masked(make(**a), masked_out),
    "flatten": lambda make, a: optax.flatten(make(**a)),
}
# Wrappers that hand the optimizer to `lax.cond`, which compiles it even outside jit.
BRANCHING: dict[str, Callable[[Factory, dict[str, Any]], Any]] = {
    "MultiSteps": lambda make, a: optax.MultiSteps(make(**a), every_k_schedule=3),
    "apply_if_finite": lambda make, a: optax.apply_if_finite(make(**a), 3),
}


def in_turn(wrappers: Any) -> list[Any]:
    """All optimizers in each wrapper; the quick tests try a few in each, together most."""
    names, apart = list(ARGUMENTS), max(3, len(wrappers))
    pairs = [(wrapper, name) for wrapper in wrappers for name in names]
    quick = [(wrapper, name) for i, wrapper in enumerate(wrappers) for name in names[i::apart]]
    return slow_but(quick, pairs)


def tame() -> tuple[Any, list[Any]]:
    """Parameters and eight gradients whose norm is finite, except for two with one NaN each.

    Both leaves have one shape: outside jit, each operation is compiled for each shape.
    """
    params = {"first": parameters(16), "second": parameters(16)}
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(8, 2, 16)).astype(np.float32)
    gradients[[2, 5], 1, 0] = np.nan
    return params, [dict(zip(params, jax.device_put([*g]), strict=True)) for g in gradients]


@pytest.mark.parametrize(("wrapper", "name"), in_turn(WRAPPERS))
def test_inside_a_wrapper_of_optax(wrapper: str, name: str) -> None:
    params, gradients = tame()
    build = WRAPPERS[wrapper]
    assert_same_path(
        build(OURS[name], ARGUMENTS[name]), build(THEIRS[name], ARGUMENTS[name]), params, gradients
    )


@pytest.mark.parametrize(("wrapper", "name"), in_turn(BRANCHING))
def test_inside_a_wrapper_that_branches(wrapper: str, name: str) -> None:
    params, gradients = tame()
    ours, optax_optimizer = (
        BRANCHING[wrapper](make[name], ARGUMENTS[name]) for make in (OURS, THEIRS)
    )
    state = optax_optimizer.init(params)
    assert_same_kind(ours.init(params), state)
    our_update, their_update = jax.jit(ours.update), jax.jit(optax_optimizer.update)
    for g in gradients:
        here, there = our_update(g, state, params), their_update(g, state, params)
        assert_same_kind(here, there)
        assert ulps_apart(here, there) <= 2
        updates, state = there
        params = optax.apply_updates(params, updates)


@each_optimizer
def test_injected_arguments_can_be_changed_later(name: str) -> None:
    decay = {"sgd": "momentum", "momentum": "beta", "rmsprop": "decay", "adagrad": "eps"}
    params, gradients = tame()
    ends = []
    for make in (OURS[name], THEIRS[name]):
        optimizer = optax.inject_hyperparams(make)(**ARGUMENTS[name])
        *_, (_, middle, state) = run(optimizer, params, gradients[:4])
        state.hyperparams["learning_rate"] = jnp.float32(0.01)
        if name != "adagrad":
            state.hyperparams[decay.get(name, "b1")] = jnp.float32(0.5)
        *_, end = run(optimizer, middle, gradients[4:], state)
        ends.append(end)
    assert_same_kind(*ends)
    assert_same_bits(*ends)


def test_different_optimizers_in_one_partition() -> None:
    params, gradients = tame()
    ours, optax_partition = (
        optax.partition({"first": of["adamw"](0.1), "second": of["momentum"](0.1)}, labels)
        for of in (OURS, THEIRS)
    )
    assert_same_path(ours, optax_partition, params, gradients)


BLOCKS: list[Callable[[Any], Any]] = [
    lambda library: library.trace(0.9),
    lambda library: library.ema(0.9),
    lambda library: library.add_decayed_weights(0.1),
]


@pytest.mark.parametrize("build", BLOCKS)
def test_a_gradient_may_be_missing_where_there_is_a_parameter(build: Any) -> None:
    params = {"a": parameters(16), "b": parameters(16)}
    gradients = {"a": parameters(16), "b": None}
    results = []
    for library in (jaxopt_notes, optax):
        optimizer = build(library)
        state = optimizer.init(params)
        results.append(optimizer.update(gradients, state, params))
    assert_same_kind(*results)
    assert_same_bits(*results)


def images() -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(2)
    return jax.device_put((rng.normal(size=(8, 5)).astype(np.float32), np.arange(8) % 3))


@pytest.mark.slow
@each_optimizer
def test_in_an_nnx_optimizer(name: str) -> None:
    x, y = images()

    def loss(model: Any) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

    ends, losses = [], []
    for make in (OURS[name], THEIRS[name]):
        rngs = nnx.Rngs(0)
        model = nnx.Sequential(nnx.Linear(5, 7, rngs=rngs), nnx.relu, nnx.Linear(7, 3, rngs=rngs))
        optimizer = nnx.Optimizer(model, make(**ARGUMENTS[name]), wrt=nnx.Param)

        @nnx.jit
        def step(model: Any, optimizer: Any) -> jax.Array:
            value, grads = nnx.value_and_grad(loss)(model)
            optimizer.update(model, grads)
            return value

        losses.append([float(step(model, optimizer)) for _ in range(10)])
        ends.append((nnx.to_pure_dict(nnx.state(model)), nnx.to_pure_dict(nnx.state(optimizer))))
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *ends)


@pytest.mark.parametrize("name", slow_but(["adamw"], ARGUMENTS))
def test_in_a_train_state_of_linen(name: str) -> None:
    x, y = images()
    model = linen.Dense(3)
    params = jax.jit(model.init)(jax.random.key(0), x)

    @jax.jit
    def step(state: TrainState) -> TrainState:
        def loss(params: Any) -> jax.Array:
            logits = state.apply_fn(params, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        return state.apply_gradients(grads=jax.grad(loss)(state.params))

    ends = []
    for make in (OURS[name], THEIRS[name]):
        state = TrainState.create(apply_fn=model.apply, params=params, tx=make(**ARGUMENTS[name]))
        for _ in range(10):
            state = step(state)
        ends.append((state.params, state.opt_state))
    assert_same_kind(*ends)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *ends)
