"""`handover` gives the same numbers whatever stands around it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxopt_notes import adam, handover, sgd
from jaxopt_notes.optimizers._handover import find_handover
from tests.optimizers.walks import STEPS, T, assert_same, rate, run, tree
from tests.slow_cases import slow_but


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

    starts = np.array([0.5, 1.0, 2.0, 4.0], np.float32)
    theta, state = jax.jit(jax.vmap(train))(starts)
    alone = jax.jit(train)
    each = [alone(x) for x in starts]
    np.testing.assert_array_equal(state.switched_at, [s.switched_at for _, s in each])
    assert len(set(state.switched_at.tolist())) > 1
    np.testing.assert_allclose(theta, [t for t, _ in each], rtol=1e-6)


def test_with_nnx_optimizer():
    model = nnx.Linear(3, 2, kernel_init=lambda *_: tree(0)["w"], rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, handover(adam(1e-2), sgd(1e-2, 0.9), when=3), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x, y):
        loss, grads = nnx.value_and_grad(lambda model: ((model(x) - y) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    x, y = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32), np.ones((8, 2))
    losses = [float(step(model, optimizer, x, y)) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    assert optimizer.opt_state.switched_at.get_value() == 3


@pytest.mark.parametrize("stop", slow_but([T], [2, T, 8]))
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
