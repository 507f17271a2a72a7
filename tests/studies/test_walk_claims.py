"""The mathematics of the studies on landscapes, against closed forms and invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes import momentum, sgd
from jaxopt_notes.optimizers import scale_by_adam
from jaxopt_notes.studies.claims import (
    bias_correction,
    first_steps,
    five_books,
    ravine,
    rmsprop_steps,
    saddle,
    stall,
    weighted_sum,
)
from jaxopt_notes.studies.walks import arrival, walk


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def test_a_walk_is_the_optimizer_step_by_step() -> None:
    optimizer = momentum(0.3, 0.5)

    @jax.jit
    def both(theta: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        path = walk(optimizer, lambda x, t, key: x + t, theta, 4)
        state, by_hand = optimizer.init(theta), [theta]
        for t in range(4):
            updates, state = optimizer.update(theta + t, state)
            theta = theta + updates
            by_hand.append(theta)
        return path, by_hand

    path, by_hand = both(np.array([1.0, -2.0]))
    np.testing.assert_allclose(path, np.stack(by_hand), rtol=1e-15)


def test_chance_comes_from_the_key_alone() -> None:
    def noisy(seed: int) -> jax.Array:
        start = jnp.zeros(3)
        noise = lambda x, t, key: jax.random.normal(key, x.shape)  # noqa: E731
        return walk(sgd(0.1), noise, start, 5, jax.random.key(seed))

    one, again, other = jax.device_get(jax.jit(lambda: [noisy(seed) for seed in (1, 1, 2)])())
    assert (one == again).all()
    assert (one[1:] != other[1:]).all()


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_ravine_rates_are_the_eigenvalues_of_a_step(beta: float) -> None:
    for a in (0.04, 0.5, 1.3, 1.9):
        # (θ, v) → (θ − a v', v'), v' = β v + (1 − β) θ
        step = np.array([[1 - a * (1 - beta), -a * beta], [1 - beta, beta]])
        largest = abs(np.linalg.eigvals(step)).max()
        assert ravine.closed_rate(a, beta) == pytest.approx(largest, abs=1e-12)


def test_ravine_rate_measured_on_a_swing_of_known_rate() -> None:
    t = np.arange(400)
    paths = np.stack([0.95**t * np.cos(0.3 * t + 1), (-0.7) ** t, 1e-9 * 0.99**t])
    np.testing.assert_allclose(ravine.measured_rate(paths), [0.95, 0.7, 0.99], atol=1e-3)


def test_ravine_sgd_path_is_the_power_and_momentum_is_linear_in_its_start() -> None:
    path = ravine.paths_on([1.0, 10.0], [1.0, 1.0], [0.15], 0.0, 20)[0]
    t = np.arange(21)[:, None]
    np.testing.assert_allclose(path, (1 - 0.15 * np.array([1.0, 10.0])) ** t, atol=1e-14)
    one, ten = (ravine.paths_on([3.0], [x], [0.2], 0.9, 50) for x in (1.0, 10.0))
    np.testing.assert_allclose(10 * one, ten, rtol=1e-12)


def test_ravine_sgd_is_home_as_the_closed_form_says_at_the_best_rate() -> None:
    setting = {"start": [1.0, 1.0], "tuning_rates": 99, "tuning_steps": 200}
    best = ravine.tuned(setting, 10.0, 0.0)
    assert best.rate == pytest.approx(2 / 11, rel=0.03)
    assert best.steps == pytest.approx(np.log(0.01) / np.log(9 / 11), abs=1.5)


def test_ravine_polyak_s_pair_is_the_fastest_of_the_plane() -> None:
    steps, betas, factors = ravine.plane(100.0, [199, 99])
    rate, beta = ravine.polyak(100.0)
    fastest = max(ravine.closed_rate(rate, beta), ravine.closed_rate(100 * rate, beta))
    assert fastest == pytest.approx(9 / 11, abs=1e-4)
    assert fastest <= factors.min() + 1e-4
    row, column = np.unravel_index(factors.argmin(), factors.shape)
    assert betas[row] == pytest.approx(beta, abs=0.02)
    assert steps[column] == pytest.approx((1 - beta) * rate * 100, abs=0.05)


def test_ravine_is_even_where_the_ratio_of_steps_passes_one() -> None:
    kappa = np.array([1.0, 10.0, 100.0])
    assert ravine.even_at(kappa, kappa / 30) == pytest.approx(30)
    assert ravine.even_at(kappa, kappa) == 1
    assert ravine.even_at(kappa, kappa / 200) == np.inf


def test_ravine_damping_compares_the_two_factors() -> None:
    ratio = ravine.damping(100.0, 2 / 101, 0.9)
    assert ratio == pytest.approx(0.5 * np.log(0.9) / np.log(99 / 101), rel=0.01)


def test_saddle_growth_is_the_eigenvalue_and_the_path_grows_so() -> None:
    for alpha in (0.05, 1.0):
        for beta in (0.0, 0.9):
            step = np.array([[1 + alpha * (1 - beta), -alpha * beta], [-(1 - beta), beta]])
            largest = abs(np.linalg.eigvals(step)).max()
            assert saddle.growth(alpha, beta) == pytest.approx(largest)
    setting = {"steps": 200, "seeds": 1, "beta": 0.9, "curvature": 10.0}
    for name, beta in (("sgd", 0.0), ("momentum", 0.9)):
        y = saddle.on_saddle(name, [0.05], setting, [0.0, 1e-9], 0.0)[0, 0, :, 1]
        assert y[200] / y[199] == pytest.approx(saddle.growth(0.05, beta), rel=1e-6)


def test_saddle_has_no_side_and_what_diverges_is_not_off() -> None:
    setting = {"steps": 300, "seeds": 1, "beta": 0.9, "curvature": 10.0}
    both = [saddle.on_saddle("momentum", [0.1], setting, [0.5, y], 0.0) for y in (1e-4, -1e-4)]
    np.testing.assert_array_equal(both[0][..., 1], -both[1][..., 1])
    assert saddle.off(both[0]) == saddle.off(both[1]) < 300
    away = saddle.on_saddle("sgd", [0.25], setting, [0.5, 1e-4], 0.0)
    assert np.isinf(saddle.off(away)).all()


def test_saddle_s_stall_counts_small_gradients_until_it_is_off() -> None:
    y = 0.9 * np.minimum(1e-3 * 1.1 ** np.arange(120), 1 / 0.9)  # ends at 1
    path = np.stack([np.r_[0.5, np.zeros(119)], y], -1)[None]
    left = int((y > 0.5).argmax())
    small = sum(abs(v**3 - v) < 0.1 for v in y[1:left])
    assert saddle.stalled(path, {"curvature": 10.0}) == pytest.approx(small / (left - small))
    x = np.array([[1.0, 0.0, 0.0], [1.0, -0.2, -0.9], [1.0, -0.6, -1.0]])
    assert saddle.least_rate(x, np.array([0.1, 0.2, 0.3])) == 0.2
    assert saddle.least_rate(x[:1], np.array([0.1])) == np.inf


def test_arrival_is_the_first_true_and_never_is_infinite() -> None:
    assert arrival([[0, 0, 1, 0], [0, 0, 0, 0]]).tolist() == [2, np.inf]


def test_weighted_sum_weights_add_up_and_give_the_average_of_a_constant() -> None:
    w = weighted_sum.weights(50, 0.9)
    np.testing.assert_allclose(w.sum(1), 1 - 0.9 ** np.arange(1, 51), rtol=1e-13)
    assert (np.diff(w[-1]) > 0).all()
    m, v = map(
        np.asarray, jax.jit(weighted_sum.averages, static_argnums=1)(np.full((50, 1), 3.0), 0.9)
    )
    np.testing.assert_allclose(m[:, 0], 3 * w.sum(1), rtol=1e-13)
    np.testing.assert_allclose(v[:, 0], 9 * w.sum(1), rtol=1e-13)


def test_bias_correction_of_a_constant_gradient_is_the_closed_form() -> None:
    uncorrected = jax.jit(bias_correction.uncorrected, static_argnums=(1, 2))
    m, v, ratio = uncorrected(np.full((40, 3), -2.0), 0.9, 0.999)
    t = np.arange(1, 41)
    np.testing.assert_allclose(m, -2 * (1 - 0.9**t), rtol=1e-12)
    np.testing.assert_allclose(v, 4 * (1 - 0.999**t), rtol=1e-10)
    np.testing.assert_allclose(ratio, bias_correction.closed_ratio(t, 0.9, 0.999), rtol=1e-10)
    assert bias_correction.closed_ratio(1, 0.9, 0.999) == pytest.approx(np.sqrt(10))
    assert bias_correction.closed_ratio(1, 0.9, 0.99) == pytest.approx(1)


def test_stall_steps_fall_as_one_over_the_root_and_the_exponent_is_found() -> None:
    lengths = stall.step_lengths("adagrad", 100)
    np.testing.assert_allclose(lengths, np.arange(1, 101) ** -0.5, rtol=1e-7)
    for power in (-0.5, 0.0, -1.2):
        assert stall.exponent(np.arange(1.0, 200) ** power) == pytest.approx(power, abs=1e-9)


def test_rmsprop_steps_settle_and_change_as_the_closed_form_says() -> None:
    setting = {**rmsprop_steps.ABOUT.setting, "sizes": [1e-6, 1e2, 5]}
    numbers = rmsprop_steps.measure(setting).numbers
    assert numbers["steady_least"] == pytest.approx(1e-6 / np.sqrt(1e-12 + 1e-8), rel=1e-6)
    assert numbers["burst"] == pytest.approx(1 / np.sqrt(0.1), rel=1e-3)
    assert numbers["drop"] == pytest.approx(1e-3 / np.sqrt(0.9 + 0.1e-6), rel=1e-3)
    first = np.log(1e6 / 3) / -np.log(0.9)  # 1 + c² β^t = 4
    assert numbers["recovery"] == pytest.approx(first, abs=2)


def test_first_steps_without_correction_are_adam_s_times_the_ratio() -> None:
    betas = (0.9, 0.999), (0.9, 0.9)

    @jax.jit
    def ratios(g: jax.Array) -> list[jax.Array]:
        by_betas = []
        for pair in betas:
            rules = scale_by_adam(*pair), first_steps.without_correction(*pair)
            (right, _), (without, _) = (rule.update(g, rule.init(g)) for rule in rules)
            by_betas.append(without / right)
        return by_betas

    for (b1, b2), ratio in zip(betas, ratios(np.array([2.0, -0.5])), strict=True):
        np.testing.assert_allclose(ratio, bias_correction.closed_ratio(1, b1, b2), rtol=1e-6)


def test_five_books_agree_where_their_formulas_do() -> None:
    setting = {"rate": 0.01, "steps": 20, "start": [1.0, -2.0], "curvatures": [1.0, 0.05]}
    books = five_books.with_the_same()
    four = {book: books["adam"][book] for book in ("notes", "optax", "torch", "Keras")}
    apart = five_books.distances(four, setting, 1.0)
    assert apart["notes"].max() == 0
    assert apart["optax"].max() < 1e-14
    assert apart["torch"].max() < 1e-12
    assert 1e-9 < apart["Keras"].max() < 1e-5
    three = {book: books["rmsprop"][book] for book in ("notes", "Keras", "TensorFlow 1")}
    apart = five_books.distances(three, setting, 1.0)
    assert apart["Keras"].max() < 1e-14 < 0.01 < apart["TensorFlow 1"].max()
    # The first step of TensorFlow 1, whose E starts from 1: g / √(0.9 + 0.1 g²), against √0.1.
    g = np.array([1.0, -0.1])
    first = 0.01 * np.linalg.norm(g / np.sqrt(0.1 * g**2) - g / np.sqrt(0.9 + 0.1 * g**2))
    one = {**setting, "steps": 1}
    way = 0.01 * np.linalg.norm(g / np.sqrt(0.1 * g**2))
    del three["Keras"]
    distance = five_books.distances(three, one, 1.0)["TensorFlow 1"][1]
    assert distance == pytest.approx(first / way, rel=1e-6)
