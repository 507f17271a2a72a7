"""Adam to SGD: what is carried over, and SWATS against the paper's Algorithm 1 in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes import adam, adam_to_sgd, sgd
from jaxopt_notes.optimizers._adam_to_sgd import found_rate, projected_rate

T, STEPS = 6, 20
CURVATURE = np.array([0.5, 1.0, 2.0, 3.0, 5.0])


def cosine(k):
    return 0.05 * (1 + jnp.cos(jnp.pi * k / STEPS))


def noisy_gradient(w, k):
    return CURVATURE * w + np.random.default_rng(k).normal(size=5)


def split(w):
    if w.dtype == np.float64:
        w = w.astype(jnp.result_type(float))  # double precision only where it is enabled
    return {"a": w[:2], "b": [w[2:].reshape(3, 1), None]}


def join(tree):
    return np.concatenate([np.asarray(tree["a"]), np.asarray(tree["b"][0]).ravel()])


def train(optimizer, steps, gradient=noisy_gradient, start=0, w=None, state=None):
    """Each step's parameters, and the last state."""
    w = np.ones(5) if w is None else w
    params = split(w)
    state = optimizer.init(params) if state is None else state
    update, path = jax.jit(optimizer.update), []
    for k in range(start, start + steps):
        updates, state = update(split(gradient(join(params), k)), state, params)
        params = jax.tree.map(lambda p, u: p + np.asarray(u), params, updates)
        path.append(join(params))
    return np.array(path), state


def swats_of_the_paper(gradient, w, steps, alpha, eps, b1=0.9, b2=0.999):
    """Keskar & Socher 2017, Algorithm 1, line by line. Returns the path, k of the switch, Λ."""
    phase, k, path, switched, Lambda = "Adam", 0, [], None, None
    m, a, lam, v = np.zeros(5), np.zeros(5), 0.0, None
    while k < steps:
        k += 1
        g = gradient(w, k - 1)
        if phase == "SGD":
            v = b1 * v + g
            w = w - (1 - b1) * Lambda * v
            path.append(w)
            continue
        m = b1 * m + (1 - b1) * g
        a = b2 * a + (1 - b2) * g**2
        correction = np.sqrt(1 - b2**k) / (1 - b1**k)
        p = -alpha * correction * m / (np.sqrt(a) + 1e-9)
        w = w + p
        path.append(w)
        if p @ g != 0:
            gamma = p @ p / -(p @ g)
            lam = b2 * lam + (1 - b2) * gamma
            if k > 1 and abs(lam / (1 - b2**k) - gamma) < eps:
                phase, switched, v = "SGD", k, np.zeros(5)
                Lambda = lam / (1 - b2**k)
    return np.array(path), switched, Lambda


@pytest.mark.parametrize(("alpha", "eps"), [(0.05, 3e-4), (0.02, 1e-4), (0.02, 0.0)])
def test_swats_is_the_papers_algorithm_in_float64(alpha, eps):
    expected, switched, Lambda = swats_of_the_paper(noisy_gradient, np.ones(5), 200, alpha, eps)
    assert (switched is None) == (eps == 0)
    assert switched is None or 20 < switched < 190
    with jax.enable_x64(True):
        got, state = train(adam_to_sgd(alpha, eps=1e-9, switch_eps=eps), 200)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)
    assert state.switched_at == (switched or -1)
    if switched:
        np.testing.assert_allclose(state.first.rate, Lambda, rtol=1e-6)
        np.testing.assert_allclose(found_rate(state), 0.1 * Lambda, rtol=1e-6)
    else:
        assert found_rate(state) is None


def test_swats_keeps_the_paper_rule_where_a_gradient_is_zero():
    def gradient(w, k):
        return noisy_gradient(w, k) * (k % 3 != 1)

    expected, switched, _ = swats_of_the_paper(gradient, np.ones(5), 160, 0.02, 1e-4)
    assert switched > 50
    with jax.enable_x64(True):
        got, state = train(adam_to_sgd(0.02, eps=1e-9, switch_eps=1e-4), 160, gradient)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)
    assert state.switched_at == switched


@pytest.mark.slow
@pytest.mark.parametrize("switch_step", [None, 3])
@pytest.mark.parametrize("bad", [0.0, 1e-30, 1e30, np.inf, np.nan])
def test_swats_outlives_any_gradient(bad, switch_step):
    def always(w, k):
        return np.full(5, bad)

    _, state = train(adam_to_sgd(0.1, switch_step, switch_eps=1e-6), 8, always)
    assert np.isfinite(state.first.average)
    if bad == 0:
        assert (state.switched_at, state.first.rate) == (-1, 0)


def test_swats_never_switches_to_a_rate_that_climbs():
    def turning(w, k):  # Adam's momentum goes on uphill for a while
        return np.full(5, 1.0 if k < 5 else -0.3)

    _, state = train(adam_to_sgd(0.1, switch_eps=1e9, earliest_switch=6), 6, turning)
    assert state.first.gamma < 0
    _, state = train(adam_to_sgd(0.1, 1, b2=0.0), 1, lambda w, k: np.ones(5))
    assert state.switched_at == 1
    _, state = train(adam_to_sgd(0.1, 6, b2=0.0), 6, turning)
    assert state.first.rate < 0
    assert state.switched_at == -1


def test_the_projected_rate_is_that_of_the_whole_tree():
    rate = jax.jit(projected_rate)
    p, g = np.array([1.0, -2, 0.5, 3, 1]), np.array([-3.0, 1, -0.5, -2, 0])
    np.testing.assert_allclose(rate(split(p), split(g)), p @ p / -(p @ g), rtol=1e-6)
    assert rate(split(p), split(0 * g)) == np.inf
    half = [split(x.astype(jnp.bfloat16)) for x in (p, g)]
    assert rate(*half).dtype == jnp.float32
    z = np.array([1 + 2j, 3 - 1j], np.complex64)
    np.testing.assert_allclose(rate(-z, 2 * z), 0.5, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.05, cosine], ids=["constant", "schedule"])
def test_swats_at_a_given_step_is_sgd_at_the_found_multiple_of_the_rate(alpha):
    optimizer = adam_to_sgd(alpha, T)
    got, state = train(optimizer, STEPS)
    before, _ = train(adam(alpha), T)
    np.testing.assert_array_equal(got[:T], before)
    ratio = float(state.second[1].ratio)
    rate = (lambda k: ratio * alpha(T + k)) if callable(alpha) else ratio * alpha
    after, _ = train(sgd(rate, momentum=0.9), STEPS - T, start=T, w=got[T - 1])
    np.testing.assert_allclose(got[T:], after, rtol=1e-5, atol=1e-6)
    now = alpha(T - 1) if callable(alpha) else alpha
    np.testing.assert_allclose(found_rate(state), ratio * now, rtol=1e-5)


def test_earliest_switch_holds_the_criterion_back():
    for earliest in (2, 9):
        optimizer = adam_to_sgd(0.1, switch_eps=1e9, earliest_switch=earliest)
        assert train(optimizer, 12)[1].switched_at == earliest


@pytest.mark.parametrize("alpha", [0.05, cosine], ids=["constant", "schedule"])
def test_plain_is_adam_and_then_sgd_from_rest(alpha):
    got, _ = train(adam_to_sgd(alpha, T, alpha, carry="plain"), STEPS)
    before, _ = train(adam(alpha), T)
    np.testing.assert_array_equal(got[:T], before)
    rate = (lambda k: alpha(T + k)) if callable(alpha) else alpha
    after, _ = train(sgd(rate, momentum=0.9), STEPS - T, start=T, w=got[T - 1])
    np.testing.assert_allclose(got[T:], after, rtol=1e-5, atol=1e-6)


def test_momentum_goes_on_as_a_heavy_ball_that_had_rolled_all_along():
    """Its velocity at the switch is that of `trace(β1)` fed with Adam's gradients."""
    gradients = np.random.default_rng(0).normal(size=(STEPS, 5))

    def fixed_gradient(w, k):
        return gradients[k]

    optimizer, ball = adam_to_sgd(0.05, T, 0.1, carry="momentum"), sgd(0.1, momentum=0.9)
    got, state = train(optimizer, T, fixed_gradient)
    _, rolled = train(ball, T, fixed_gradient)
    np.testing.assert_allclose(
        join(state.second[0].trace), join(rolled[0].trace), rtol=1e-5, atol=1e-6
    )
    got, _ = train(optimizer, STEPS, fixed_gradient)
    after, _ = train(ball, STEPS - T, fixed_gradient, T, got[T - 1], rolled)
    np.testing.assert_allclose(got[T:], after, rtol=1e-4, atol=1e-5)


def test_momentum_with_another_beta_keeps_a_steady_gradients_speed():
    def steady(w, k):
        return np.ones(5)

    optimizer = adam_to_sgd(0.05, 200, 0.1, momentum=0.5, carry="momentum")
    _, state = train(optimizer, 200, steady)
    np.testing.assert_allclose(join(state.second[0].trace), 1 / (1 - 0.5), rtol=1e-5)


@pytest.mark.parametrize("carry", ["plain", "momentum", "swats"])
def test_outside_jit_adams_phase_is_adam_to_the_bit(carry):
    rate = None if carry == "swats" else 0.1
    optimizer, plain = adam_to_sgd(cosine, T, rate, carry=carry), adam(cosine)

    def halves(x):  # of one shape: outside jit, each operation is compiled for each shape
        first, second = jax.device_put([*x.astype(np.float32).reshape(2, 3)])
        return {"a": first, "b": [second, None]}

    params = halves(np.ones(6))
    state, plain_state = optimizer.init(params), plain.init(params)
    for k in range(T):
        g = halves(np.random.default_rng(k).normal(size=6))
        got, state = optimizer.update(g, state, params)
        expected, plain_state = plain.update(g, plain_state, params)
        jax.tree.map(np.testing.assert_array_equal, got, expected)


@pytest.mark.slow
@pytest.mark.parametrize("carry", ["plain", "momentum", "swats"])
def test_in_scan_vmap_multi_steps_and_inject_hyperparams(carry):
    def make(learning_rate):
        rate = None if carry == "swats" else 0.05
        return adam_to_sgd(learning_rate, 3, rate, carry=carry)

    injected = optax.inject_hyperparams(make)(learning_rate=0.05)
    for optimizer in (make(0.05), injected, optax.MultiSteps(make(0.05), 1)):

        def descend(w, optimizer=optimizer):
            def step(carried, _):
                w, state = carried
                u, state = optimizer.update(2 * w, state, w)
                return (w + u, state), None

            return jax.lax.scan(step, (w, optimizer.init(w)), None, 60)[0][0]

        ends = jax.vmap(descend)(jnp.array([[1.0, -1.0], [0.5, 2.0]]))
        assert jnp.abs(ends).max() < 0.5


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"carry": "all"}, ValueError, "carry='all' is not one of plain, momentum, swats"),
        ({"carry": "plain", "switch_step": 3}, ValueError, "sgd_learning_rate"),
        ({"carry": "momentum", "sgd_learning_rate": 0.1}, ValueError, "switch_step"),
        ({"sgd_learning_rate": 0.1}, ValueError, "swats.* by itself"),
        ({"switch_step": -1}, ValueError, "switch_step=-1 is negative"),
        ({"switch_step": 0.7}, TypeError, r"switch_step=0\.7"),
        ({"switch_eps": -1.0}, ValueError, "switch_eps"),
        ({"momentum": 1.0}, ValueError, "momentum"),
        ({"b1": 1.0}, ValueError, "b1"),
    ],
)
def test_mistakes_are_named(kwargs, error, words):
    with pytest.raises(error, match=words):
        adam_to_sgd(0.1, **kwargs)
