"""`handover`: the first optimizer's numbers, then the second's, whatever stands around it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxopt_notes import adam, adamw, handover, momentum, rmsprop, sgd
from jaxopt_notes.optimizers.handover import HandoverState, find_handover

T, STEPS = 5, 12


def rate(k):
    return 0.1 / (1 + k)


def tree(seed, dtype=jnp.float32):
    r = np.random.default_rng(seed)
    leaf = lambda *shape: jnp.asarray(r.normal(size=shape), dtype)  # noqa: E731
    return {"w": leaf(3, 2), "b": [leaf(2), None], "scalar": leaf()}


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


PAIRS = {
    "adam-sgd": (lambda: adam(0.1), lambda: sgd(0.1, momentum=0.9)),
    "adamw-momentum": (lambda: adamw(0.1, weight_decay=0.1), lambda: momentum(0.1)),
    "sgd-rmsprop": (lambda: sgd(0.1), lambda: rmsprop(0.01, centered=True)),
    "optax": (lambda: optax.lion(0.1), lambda: optax.adamax(0.1)),
}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_the_first_to_the_bit_then_the_second_started_there(name, jit):
    first, second = (make() for make in PAIRS[name])
    optimizer, params = handover(first, second, when=T), tree(99)
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
    optimizer, params = handover(sgd(1.0), sgd(10.0), when=when), jnp.zeros(1)
    state, moves = optimizer.init(params), []
    for _ in range(STEPS):
        u, state = optimizer.update(jnp.ones(1), state)
        moves.append(float(u[0]))
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
    params = tree(99)
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
    params = tree(99)
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

    optimizer, params = handover(adam(0.1), sgd(0.1, momentum=0.9), when, carry), tree(99)
    _, state = run(optimizer, optimizer.init(params), params, range(when), jit)
    assert state.switched_at == when
    expected = jax.tree.map(lambda m: 4 * jnp.sign(m), state.first[0].mu)
    assert_same(state.second[0].trace, expected)
    _, state = run(optimizer, state, params, [50], jit)
    np.testing.assert_allclose(
        state.second[0].trace["w"], 0.9 * expected["w"] + tree(50)["w"], rtol=1e-6
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
    state = optimizer.init(jnp.zeros(2))
    for _ in range(4):
        _, state = update(jnp.ones(2), state)
    jax.effects_barrier()
    assert called == ["first", "first", "second", "second"]
    assert update._cache_size() == 1


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.complex64])
@pytest.mark.parametrize("jit", [False, True])
def test_structure_and_dtypes_stay(dtype, jit):
    first = adam(rate, mu_dtype=None if dtype == jnp.complex64 else jnp.float32)
    optimizer = handover(first, sgd(rate, momentum=0.9), when=2)
    params = tree(0, dtype)
    state = optimizer.init(params)
    update = jax.jit(optimizer.update) if jit else optimizer.update
    seen = []
    for seed in range(4):
        updates, state = update(tree(seed, dtype), state, params)
        seen.append(jax.tree.map(lambda x: (x.shape, str(x.dtype)), (updates, state)))
    assert all(x == seen[0] for x in seen)
    alone = first.update(params, first.init(params))[0]
    assert seen[0][0] == jax.tree.map(lambda x: (x.shape, str(x.dtype)), alone)


def test_half_precision_parameters_with_float32_gradients_widen_as_they_do_alone():
    params, g = jnp.ones(3, jnp.bfloat16), jnp.ones(3, jnp.float32)
    optimizer = handover(adam(0.1), sgd(0.1, momentum=0.9), when=2)
    for update in (optimizer.update, jax.jit(optimizer.update)):
        state = optimizer.init(params)
        for _ in range(4):
            u, state = update(g, state)
        assert (u.dtype, state.first[0].mu.dtype) == (jnp.float32, jnp.float32)
        assert state.second[0].trace.dtype == jnp.float32


def around(optimizer):
    return {
        "chain": optax.chain(optax.clip_by_global_norm(1.0), optimizer),
        "multi-steps": optax.MultiSteps(optimizer, 2).gradient_transformation(),
        "masked": optax.masked(optimizer, {"w": True, "b": [False, None], "scalar": True}),
    }


@pytest.mark.parametrize("name", ["chain", "multi-steps", "masked"])
def test_inside_of_other_transformations(name):
    optimizer = around(handover(adam(rate), sgd(0.1, momentum=0.9), when=3))[name]
    first, second = around(adam(rate))[name], around(sgd(0.1, momentum=0.9))[name]
    taken = 6 if name == "multi-steps" else 3
    params = tree(99)
    got, state = run(optimizer, optimizer.init(params), params, range(taken), jit=True)
    expected, _ = run(first, first.init(params), params, range(taken), jit=True)
    assert_same(got, expected, 1e-6)
    assert find_handover(state).switched_at == 3
    got, _ = run(optimizer, state, got, range(taken, STEPS), jit=True)
    expected, _ = run(second, second.init(params), expected, range(taken, STEPS), jit=True)
    assert_same(got, expected, 1e-5)


def test_inside_of_inject_hyperparams_the_switch_can_be_moved():
    def make(learning_rate, when):
        return handover(adam(learning_rate), sgd(learning_rate), when)

    optimizer = optax.inject_hyperparams(make)(learning_rate=rate, when=3)
    params = tree(99)
    _, state = run(optimizer, optimizer.init(params), params, range(2), jit=True)
    state.hyperparams["when"] = jnp.asarray(5)
    _, state = run(optimizer, state, params, range(2, 8), jit=True)
    assert find_handover(state).switched_at == 5


def test_under_scan_and_vmap_each_example_switches_for_itself():
    optimizer = handover(sgd(0.1), sgd(0.01), when=lambda state, u: jnp.abs(u) < 0.2)

    def train(start):
        def step(carry, _):
            theta, state = carry
            u, state = optimizer.update(2 * theta, state, theta)
            return (theta + u, state), None

        return jax.lax.scan(step, (start, optimizer.init(start)), None, 8)[0]

    starts = jnp.array([0.5, 1.0, 2.0, 4.0])
    theta, state = jax.vmap(train)(starts)
    each = [train(x) for x in starts]
    np.testing.assert_array_equal(state.switched_at, [s.switched_at for _, s in each])
    assert len(set(state.switched_at.tolist())) > 1
    np.testing.assert_allclose(theta, [t for t, _ in each], rtol=1e-6)


def test_with_nnx_optimizer():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, handover(adam(1e-2), sgd(1e-2, 0.9), when=3), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x, y):
        loss, grads = nnx.value_and_grad(lambda model: ((model(x) - y) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    x, y = jax.random.normal(jax.random.key(0), (8, 3)), jnp.ones((8, 2))
    losses = [float(step(model, optimizer, x, y)) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    assert optimizer.opt_state.switched_at.get_value() == 3


@pytest.mark.parametrize("stop", [2, T, 8])
def test_resumed_from_a_checkpoint_it_goes_on_to_the_bit(tmp_path, stop):
    ocp = pytest.importorskip("orbax.checkpoint")
    optimizer = handover(adam(rate), sgd(rate, momentum=0.9), when=T)
    params = {"w": tree(99)["w"]}

    def go(params, state, seeds):
        for seed in seeds:
            updates, state = jax.jit(optimizer.update)({"w": tree(seed)["w"]}, state, params)
            params = optax.apply_updates(params, updates)
        return params, state

    expected = go(params, optimizer.init(params), range(STEPS))
    half = go(params, optimizer.init(params), range(stop))
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "state", half)
        saver.wait_until_finished()
        restored = saver.restore(tmp_path / "state", jax.tree.map(jnp.zeros_like, half))
    assert_same(go(*restored, range(stop, STEPS)), expected)


def test_three_in_a_row_and_extra_arguments():
    def by_value(g, state, params=None, *, value=1.0):
        return jax.tree.map(lambda x: -value * x, g), state

    listens = optax.GradientTransformationExtraArgs(lambda p: optax.EmptyState(), by_value)
    optimizer = handover(sgd(1.0), handover(listens, sgd(3.0), when=2), when=1)
    state, moves = optimizer.init(jnp.zeros(())), []
    for _ in range(4):
        u, state = jax.jit(optimizer.update)(jnp.ones(()), state, value=2.0)
        moves.append(float(u))
    assert moves == [-1.0, -2.0, -2.0, -3.0]


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
