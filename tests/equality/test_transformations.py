"""Our optimizers under JAX's transformations give the results of optax's."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_notes
from jaxopt_notes.verification.settings import optax_function
from tests.equality.cases import OPTIMIZERS, RATE_SCHEDULES
from tests.equality.comparison import assert_same_bits, assert_same_kind, ulps_apart
from tests.equality.gradients import tree_and_gradients
from tests.slow_cases import slow_but

each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def every_third_from(first: int) -> Any:
    """All optimizers; every third one is a quick test, and each is one in some test."""
    return pytest.mark.parametrize("name", slow_but(list(OPTIMIZERS)[first::3], OPTIMIZERS))


def pair(
    name: str, learning_rate: Any = 0.1, **keywords: Any
) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Our optimizer and optax's, with the keywords of OPTIMIZERS unless `keywords` has others."""
    keywords = {"learning_rate": learning_rate} | OPTIMIZERS[name] | keywords
    return getattr(jaxopt_notes, name)(**keywords), optax_function(name)(**keywords)


def loss(params: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.sin(params * x) + 0.1 * params**2)


def trained(optimizer: optax.GradientTransformation, params: jax.Array, steps: int = 12) -> Any:
    """The parameters and the state after some steps in one `lax.scan`."""

    def step(carry: Any, x: jax.Array) -> Any:
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params, x), state, params)
        return (optax.apply_updates(params, updates), state), None

    xs = np.linspace(-1.0, 2.0, steps, dtype=np.float32)
    return jax.lax.scan(step, (params, optimizer.init(params)), xs)[0]


# Sixteen numbers, as in the other trees here: an operation outside jit is compiled for each shape.
START = jax.device_put(np.linspace(-1.0, 1.0, 16, dtype=np.float32))


def assert_close(ours: Any, reference: Any) -> None:
    """Equal but for the roundings of a dozen steps, which XLA is free to choose."""
    assert_same_kind(ours, reference)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(reference), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7)


@every_third_from(0)
def test_scan_inside_jit(name: str) -> None:
    ours, optax_optimizer = pair(name, RATE_SCHEDULES["cosine"])
    assert_close(
        jax.jit(lambda p: trained(ours, p))(START),
        jax.jit(lambda p: trained(optax_optimizer, p))(START),
    )


@every_third_from(1)
def test_vmap_over_parameters(name: str) -> None:
    ours, optax_optimizer = pair(name)
    start = np.asarray(START)
    starts = np.stack([start, 2 * start, start[::-1]])
    assert_close(
        jax.jit(jax.vmap(lambda p: trained(ours, p)))(starts),
        jax.jit(jax.vmap(lambda p: trained(optax_optimizer, p)))(starts),
    )


@every_third_from(2)
def test_vmap_over_learning_rates(name: str) -> None:
    rates = np.array([0.0, 1e-3, 0.1, -0.5], np.float32)
    assert_close(
        *(jax.jit(jax.vmap(lambda a, i=i: trained(pair(name, a)[i], START)))(rates) for i in (0, 1))
    )


OTHER_ARGUMENTS = [
    ("sgd", "momentum"),
    ("momentum", "beta"),
    ("adagrad", "eps"),
    ("rmsprop", "decay"),
    ("adam", "b1"),
    ("adam", "b2"),
    ("adamw", "weight_decay"),
    ("amsgrad", "b2"),
    ("lion", "b1"),
]


@pytest.mark.parametrize(("name", "argument"), slow_but(OTHER_ARGUMENTS[::6], OTHER_ARGUMENTS))
def test_vmap_over_other_arguments(name: str, argument: str) -> None:
    values = np.array([1e-3, 0.5, 0.9], np.float32)
    assert_close(
        *(
            jax.vmap(lambda x, i=i: trained(pair(name, **{argument: x})[i], START))(values)
            for i in (0, 1)
        )
    )


@pytest.mark.slow
@each_optimizer
def test_the_gradient_through_training_is_optaxs(name: str) -> None:
    arguments = {"sgd": "momentum", "momentum": "beta", "adagrad": "eps", "rmsprop": "decay"}
    arguments["lion"] = "weight_decay"  # the sign hides the betas from derivatives
    argument = arguments.get(name, "b1")
    takes = inspect.signature(getattr(jaxopt_notes, name)).parameters
    root = {"eps_root": 1e-8} if "eps_root" in takes else {}

    def after(rate: jax.Array, x: jax.Array, start: jax.Array, i: int) -> jax.Array:
        optimizer = pair(name, rate, **{argument: x}, **root)[i]
        return loss(trained(optimizer, start)[0], jnp.float32(0.7))

    derivatives = jax.jit(jax.grad(after, argnums=(0, 1, 2)), static_argnums=3)
    ours, optax_derivatives = (derivatives(0.05, 0.6, START, i) for i in (0, 1))
    for a, b in zip(ours, optax_derivatives, strict=True):
        assert np.isfinite(a).all()
        assert abs(a).max() > 0
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@every_third_from(0)
def test_donated_buffers(name: str) -> None:
    ends = []
    for optimizer in pair(name):

        def step(params: Any, state: Any, optimizer: Any = optimizer) -> Any:
            updates, state = optimizer.update(jax.grad(loss)(params, 0.5), state, params)
            return optax.apply_updates(params, updates), state

        step = jax.jit(step, donate_argnums=(0, 1))
        params = jax.device_put(np.asarray(START).copy())
        state = optimizer.init(params)
        for _ in range(5):
            before, (params, state) = params, step(params, state)
        assert before.is_deleted()
        ends.append((params, state))
    assert_close(*ends)


@every_third_from(1)
def test_one_optimizer_under_many_traces_leaks_no_tracer(name: str) -> None:
    optimizer, optax_optimizer = pair(name)
    with jax.check_tracer_leaks():
        for shape in [(3,), (2, 3)]:
            params = np.ones(shape, np.float32)
            state = jax.eval_shape(optimizer.init, params)
            jax.make_jaxpr(optimizer.update)(params, state, params)
            jax.make_jaxpr(jax.vmap(optimizer.update, (0, None, None)))(params, state, params[0])
    state = optimizer.init(START)
    here, there = (o.update(START, state, START) for o in (optimizer, optax_optimizer))
    assert_same_bits(here, there)


@each_optimizer
def test_the_state_survives_a_checkpoint_as_plain_arrays(name: str) -> None:
    params, gradients = tree_and_gradients("alike")
    ours, optax_optimizer = pair(name)
    state = ours.init(params)
    for g in gradients[:3]:
        _, state = ours.update(g, state, params)
    plain = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
    restored = jax.tree.unflatten(jax.tree.structure(optax_optimizer.init(params)), plain)
    there = optax_optimizer.update(gradients[3], restored, params)
    assert_same_bits(ours.update(gradients[3], state, params), there)


COUNTED: list[Callable[[Any], Any]] = [
    lambda library: library.scale_by_adam(),
    lambda library: library.scale_by_adam(nesterov=True),
    lambda library: library.ema(0.9),
    lambda library: library.scale_by_rms(bias_correction=True),
    lambda library: library.scale_by_stddev(bias_correction=True),
    lambda library: library.scale_by_learning_rate(lambda k: 1.0 / (1.0 + k)),
    lambda library: library.add_decayed_weights(lambda k: 1.0 / (1.0 + k)),
]


ALL_COUNTED = [(build, jitted) for jitted in (False, True) for build in COUNTED]
# The jitted steps are the same code; a count of Adam's and one of a schedule show it.
QUICK_COUNTED = [x for x in ALL_COUNTED if not x[1] or x[0] in (COUNTED[0], COUNTED[5])]


@pytest.mark.parametrize(("build", "jitted"), slow_but(QUICK_COUNTED, ALL_COUNTED))
def test_the_count_stays_at_the_largest_integer(build: Any, jitted: bool) -> None:
    largest = jnp.iinfo(jnp.int32).max
    ends = []
    for library in (jaxopt_notes, optax):
        optimizer = build(library)
        update = jax.jit(optimizer.update) if jitted else optimizer.update
        state = optimizer.init(START)._replace(count=jnp.int32(largest - 1))
        history = []
        for _ in range(3):
            updates, state = update(START, state, START)
            history.append((updates, state))
        assert state.count == largest
        ends.append(history)
    assert ulps_apart(*ends) <= (2 if jitted else 0)


@pytest.fixture
def rule_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The gradients' shapes and dtypes with which Adam's rule is called from now on."""
    calls: list[Any] = []
    adam_module = import_module("jaxopt_notes.optimizers._adam")
    rule = adam_module.adam_rule

    def counted(g: jax.Array, *slots: jax.Array, **keywords: Any) -> Any:
        calls.append((g.shape, g.dtype))
        return (yield from rule(g, *slots, **keywords))

    monkeypatch.setattr(adam_module, "adam_rule", counted)
    return calls


def test_a_rule_is_traced_once_for_equal_leaves(rule_calls: list[Any]) -> None:
    optimizer = jaxopt_notes.adam(0.1)
    leaves = [np.ones(shape, np.float32) for shape in [(5,)] * 20 + [(2, 3)] * 20]
    params = dict(enumerate([*leaves, np.ones(5, jnp.bfloat16)]))
    state = jax.eval_shape(optimizer.init, params)
    jax.jit(optimizer.update).trace(params, state)
    # Once more for the first leaf: to see which averages the rule wants corrected.
    assert len(rule_calls) == len(set(rule_calls)) + 1 == 4


def test_outside_jit_a_rule_is_called_for_each_leaf(rule_calls: list[Any]) -> None:
    optimizer = jaxopt_notes.adam(0.1)
    params = [START] * 20
    optimizer.update(params, optimizer.init(params))
    assert len(rule_calls) == 20
