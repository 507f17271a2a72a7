"""Optimizers that no single function of optax gives, against their formulas in float64."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import pytest

from jaxopt_notes import adagrad, ema, momentum, scale_by_rss, sgd
from tests.equality.comparison import run
from tests.slow_cases import slow_but

STEPS = 60


def gradients(seed: int = 0) -> np.ndarray:
    """Sixty float64 gradients; each element has a scale of its own, from 1e-12 to 1e6."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(STEPS, 10)) * 10.0 ** np.linspace(-12, 6, 10)
    g[rng.random(g.shape) < 0.2] = 0.0
    g[:, 3] = 0.0
    return g


def path(optimizer: optax.GradientTransformation, g: np.ndarray) -> np.ndarray:
    """The parameters after each step, from ones."""
    with jax.enable_x64(True):
        start, *g = jax.device_put([np.ones(g.shape[1:]), *g])
        return np.array([p for _, p, _ in run(optimizer, start, g)])


def updates_of(optimizer: optax.GradientTransformation, g: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        start, *g = jax.device_put([np.ones(g.shape[1:]), *g])
        return np.array([u for u, _, _ in run(optimizer, start, g)])


@pytest.mark.parametrize("eps", [1e-8, 1e-3, 1.0])
@pytest.mark.parametrize("initial", [0.0, 0.1])
def test_adagrad_of_the_notes_is_its_formula(initial: float, eps: float) -> None:
    g = gradients()
    G = initial + np.cumsum(g**2, axis=0)
    optimizer = adagrad(0.1, initial_accumulator_value=initial, eps=eps, eps_in_sqrt=False)
    np.testing.assert_allclose(updates_of(optimizer, g), -0.1 * g / (np.sqrt(G) + eps), rtol=1e-14)


def test_adagrad_of_the_notes_remembers_what_optaxs_does() -> None:
    g = gradients()
    with jax.enable_x64(True):
        start, *g = jax.device_put([np.ones(g.shape[1:]), *g])
        *_, (_, _, ours) = run(scale_by_rss(0.0, 1e-8, eps_in_sqrt=False), start, g)
        *_, (_, _, optax_state) = run(optax.scale_by_rss(0.0, 1e-8), start, g)
    assert type(ours) is type(optax_state)
    np.testing.assert_array_equal(ours.sum_of_squares, optax_state.sum_of_squares)


def test_adagrad_of_the_notes_without_epsilon_is_optaxs_without_epsilon() -> None:
    g = gradients()
    ours = adagrad(0.1, initial_accumulator_value=0.0, eps=0.0, eps_in_sqrt=False)
    optax_adagrad = optax.adagrad(0.1, initial_accumulator_value=0.0, eps=0.0)
    np.testing.assert_allclose(updates_of(ours, g), updates_of(optax_adagrad, g), rtol=1e-14)


def test_adagrad_of_the_notes_is_no_optax_adagrad_where_gradients_are_tiny() -> None:
    g = gradients()
    ours = adagrad(0.1, initial_accumulator_value=0.0, eps=1e-8, eps_in_sqrt=False)
    optax_adagrad = optax.adagrad(0.1, initial_accumulator_value=0.0, eps=1e-8)
    difference = abs(path(ours, g) - path(optax_adagrad, g))
    assert difference[:, 2].max() > 0.05
    assert difference[:, -1].max() < 1e-12


@pytest.mark.parametrize("jitted", [False, True])
def test_adagrad_of_the_notes_in_float32_is_its_formula_to_rounding(jitted: bool) -> None:
    g = gradients().astype(np.float32)
    optimizer = adagrad(0.1, initial_accumulator_value=0.0, eps=1e-8, eps_in_sqrt=False)
    update = jax.jit(optimizer.update) if jitted else optimizer.update
    G, state = np.zeros(10), optimizer.init(np.zeros(10, np.float32))
    for row in g:
        updates, state = update(jax.device_put(row), state)
        G += row.astype(np.float64) ** 2
        expected = -0.1 * row.astype(np.float64) / (np.sqrt(G) + 1e-8)
        np.testing.assert_allclose(updates, expected, rtol=4e-6, atol=1e-30)


def test_what_was_never_pushed_does_not_move_even_without_epsilon() -> None:
    for eps_in_sqrt in (True, False):
        optimizer = adagrad(0.1, 0.0, eps=0.0, eps_in_sqrt=eps_in_sqrt)
        assert not updates_of(optimizer, np.zeros((3, 10))).any()


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.99])
def test_momentum_is_the_weighted_sum_of_all_gradients(beta: float) -> None:
    g = gradients()
    t = np.arange(STEPS)
    weights = np.where(t[:, None] >= t, (1 - beta) * beta ** np.abs(t[:, None] - t), 0.0)
    np.testing.assert_allclose(
        updates_of(momentum(0.1, beta), g), -0.1 * weights @ g, rtol=1e-11, atol=1e-28
    )


SCHEDULES: list[Any] = [0.1, lambda k: 0.1 / (1 + k), optax.cosine_decay_schedule(0.1, 40)]


@pytest.mark.parametrize("library", [sgd, optax.sgd])
@pytest.mark.parametrize("rate", SCHEDULES, ids=["constant", "harmonic", "cosine"])
@pytest.mark.parametrize("beta", slow_but([0.9], [0.0, 0.5, 0.9]))
def test_momentum_is_sgd_at_a_rate_of_one_minus_beta(
    rate: Any, beta: float, library: Callable[..., Any]
) -> None:
    g = gradients()
    slower = (lambda k: rate(k) * (1 - beta)) if callable(rate) else rate * (1 - beta)
    # A schedule is computed in float32.
    tolerance = 1e-6 if callable(rate) else 1e-12
    np.testing.assert_allclose(
        updates_of(momentum(rate, beta), g),
        updates_of(library(slower, momentum=beta), g),
        rtol=tolerance,
        atol=1e-28,
    )


def test_momentum_does_not_correct_its_bias() -> None:
    g = np.ones((1, 10))
    np.testing.assert_allclose(updates_of(momentum(1.0, 0.9), g), -0.1, rtol=1e-14)
    np.testing.assert_allclose(updates_of(ema(0.9), g), 1.0, rtol=1e-14)
