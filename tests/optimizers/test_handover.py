"""`handover`: the first optimizer's numbers, then the second's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes import adam, adamw, handover, momentum, rmsprop, sgd
from jaxopt_notes.optimizers._handover import HandoverState
from tests.optimizers.walks import STEPS, T, assert_same, rate, run, tree
from tests.slow_cases import slow_but

PAIRS = {
    "adam-sgd": (lambda: adam(0.1), lambda: sgd(0.1, momentum=0.9)),
    "adamw-momentum": (lambda: adamw(0.1, weight_decay=0.1), lambda: momentum(0.1)),
    "sgd-rmsprop": (lambda: sgd(0.1), lambda: rmsprop(0.01, centered=True)),
    "optax": (lambda: optax.lion(0.1), lambda: optax.adamax(0.1)),
}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", slow_but(["adam-sgd", "optax"], PAIRS))
def test_the_first_to_the_bit_then_the_second_started_there(name, jit):
    first, second = (make() for make in PAIRS[name])
    optimizer, params = handover(first, second, when=T), tree(99, scalar=jit)
    tolerance = 1e-6 if jit else 0.0
    got, state = run(optimizer, optimizer.init(params), params, range(T), jit)
    expected, first_state = run(first, first.init(params), params, range(T), jit)
    assert_same(got, expected, tolerance)
    assert_same(state.first, first_state, tolerance)
    assert state.switched_at == T

    got, state = run(optimizer, state, got, range(T, STEPS), jit)
    expected, second_state = run(second, second.init(params), expected, range(T, STEPS), jit)
    assert_same(got, expected, 10 * tolerance)
    assert_same(state.second, second_state, 10 * tolerance)
    assert_same(state.first, first_state, tolerance)  # stands still
    assert state.steps == STEPS


@pytest.mark.parametrize("when", [0, 1, STEPS - 1, STEPS, STEPS + 1])
def test_a_switch_at_the_ends_of_a_run(when):
    optimizer, params = handover(sgd(1.0), sgd(10.0), when=when), np.zeros(1, np.float32)
    state, moves = optimizer.init(params), []
    for _ in range(STEPS):
        u, state = optimizer.update(np.ones(1, np.float32), state)
        moves.append(float(np.asarray(u)[0]))
    assert moves == [-1.0] * min(when, STEPS) + [-10.0] * max(STEPS - when, 0)


def counts(state):
    kinds = (
        optax.ScaleByScheduleState,
        optax.ScaleByAdamState,
        optax.InjectStatefulHyperparamsState,
    )
    leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, kinds))
    return [int(x.count) for x in leaves if isinstance(x, kinds)]


@pytest.mark.parametrize("jit", [False, True])
def test_schedules_count_for_both_and_bias_corrections_only_while_running(jit):
    injected = optax.inject_hyperparams(adam)
    optimizer = handover(adam(rate), optax.chain(injected(rate), adam(rate)), when=T)
    params = tree(99, scalar=jit)
    _, state = run(optimizer, optimizer.init(params), params, range(3), jit)
    assert counts(state.first) == [3, 3]
    assert counts(state.second) == [3, 0, 3]
    assert state.second[0].hyperparams_states["learning_rate"].count == 3
    _, state = run(optimizer, state, params, range(3, STEPS), jit)
    assert counts(state.first) == [T, STEPS]
    inner = state.second[0].inner_state
    assert counts(state.second) == [STEPS, STEPS - T, STEPS]
    assert inner[0].count == STEPS - T
    np.testing.assert_allclose(state.second[0].hyperparams["learning_rate"], rate(STEPS - 1))


def test_a_scheduled_decay_counts_while_it_waits_and_the_rate_is_that_of_the_step():
    optimizer = handover(sgd(rate), adamw(rate, weight_decay=rate), when=T)
    params = tree(99, scalar=False)
    _, state = run(optimizer, optimizer.init(params), params, range(3))
    assert state.second[1].count == 3
    plain = handover(sgd(rate), sgd(rate), when=T)
    got, _ = run(plain, plain.init(params), params, range(STEPS))
    expected, _ = run(sgd(rate), sgd(rate).init(params), params, range(STEPS))
    assert_same(got, expected)


@pytest.mark.parametrize("jit", [False, True])
def test_a_condition_on_the_state_and_the_update_switches_once(jit):
    def small(state, updates):
        assert isinstance(state, HandoverState)
        return jnp.abs(updates) < 0.5

    optimizer, params = handover(sgd(1.0), sgd(10.0), when=small), jnp.zeros(())
    update = jax.jit(optimizer.update) if jit else optimizer.update
    state, moves = optimizer.init(params), []
    for g in (3.0, 1.0, 0.25, 2.0, 0.1):
        u, state = update(jnp.asarray(g), state)
        moves.append(float(u))
    assert moves == [-3.0, -1.0, -0.25, -20.0, -1.0]
    assert state.switched_at == 3


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("when", [0, T])
def test_what_is_carried_over_is_made_at_the_switch(jit, when):
    def carry(first, second):  # in another dtype than the velocity's
        velocity = jax.tree.map(lambda m: (4 * jnp.sign(m)).astype(jnp.bfloat16), first[0].mu)
        return (optax.TraceState(velocity), *second[1:])

    optimizer = handover(adam(0.1), sgd(0.1, momentum=0.9), when, carry)
    params = tree(99, scalar=jit)
    _, state = run(optimizer, optimizer.init(params), params, range(when), jit)
    assert state.switched_at == when
    expected = jax.tree.map(lambda m: 4 * np.sign(m), state.first[0].mu)
    assert_same(state.second[0].trace, expected)
    _, state = run(optimizer, state, params, [50], jit)
    np.testing.assert_allclose(
        state.second[0].trace["w"],
        0.9 * np.asarray(expected["w"]) + np.asarray(tree(50)["w"]),
        rtol=1e-6,
    )


def test_one_compilation_and_only_the_rule_that_runs():
    called = []

    def telling(name, factor):
        def update(g, state, params=None):
            jax.debug.callback(lambda: called.append(name))
            return jax.tree.map(lambda x: factor * x, g), state

        return optax.GradientTransformation(lambda params: optax.EmptyState(), update)

    optimizer = handover(telling("first", -1.0), telling("second", -2.0), when=2)
    update = jax.jit(optimizer.update)
    state = optimizer.init(np.zeros(2, np.float32))
    for _ in range(4):
        _, state = update(np.ones(2, np.float32), state)
    jax.effects_barrier()
    assert called == ["first", "first", "second", "second"]
    assert update._cache_size() == 1


@pytest.mark.parametrize("dtype", slow_but([jnp.bfloat16], [jnp.bfloat16, jnp.complex64]))
@pytest.mark.parametrize("jit", [False, True])
def test_structure_and_dtypes_stay(dtype, jit):
    first = adam(rate, mu_dtype=None if dtype == jnp.complex64 else jnp.float32)
    optimizer = handover(first, sgd(rate, momentum=0.9), when=2)
    params = tree(0, dtype, scalar=jit)
    state = optimizer.init(params)
    update = jax.jit(optimizer.update) if jit else optimizer.update
    seen = []
    for seed in range(4):
        updates, state = update(tree(seed, dtype, scalar=jit), state, params)
        seen.append(jax.tree.map(lambda x: (x.shape, str(x.dtype)), (updates, state)))
    assert all(x == seen[0] for x in seen)
    alone = jax.eval_shape(lambda params: first.update(params, first.init(params))[0], params)
    assert seen[0][0] == jax.tree.map(lambda x: (x.shape, str(x.dtype)), alone)


def test_half_precision_parameters_with_float32_gradients_widen_as_they_do_alone():
    params, g = tree(0, jnp.bfloat16)["w"], tree(0)["w"]
    optimizer = handover(adam(0.1), sgd(0.1, momentum=0.9), when=2)
    for update in (optimizer.update, jax.jit(optimizer.update)):
        state = optimizer.init(params)
        for _ in range(4):
            u, state = update(g, state)
        assert (u.dtype, state.first[0].mu.dtype) == (jnp.float32, jnp.float32)
        assert state.second[0].trace.dtype == jnp.float32


@pytest.mark.parametrize(
    ("when", "error", "words"),
    [
        (-1, ValueError, "when=-1 is negative"),
        (0.5, TypeError, "when=0.5"),
        (True, TypeError, "when=True"),
        (None, TypeError, "when=None"),
        (lambda state, u: 1.0, TypeError, "float32.*not one boolean"),
        (lambda state, u: u > 0, TypeError, "not one boolean"),
    ],
)
def test_a_moment_that_is_none_is_refused(when, error, words):
    def step():
        optimizer = handover(sgd(1.0), sgd(1.0), when)
        return optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))

    with pytest.raises(error, match=words):
        step()


def test_multi_steps_inside_is_refused():
    inside = optax.MultiSteps(sgd(0.1), 2).gradient_transformation()
    with pytest.raises(ValueError, match="put MultiSteps around"):
        handover(adam(0.1), inside, when=2).init(jnp.zeros(2))


def test_a_donated_state_holds_no_buffer_twice():
    optimizer = handover(adam(rate), sgd(rate, momentum=0.9), when=0)
    update = jax.jit(optimizer.update, donate_argnums=1)
    _, state = update(jnp.ones(2), optimizer.init(jnp.zeros(2)))
    _, state = update(jnp.ones(2), state)
    assert state.steps == 2
