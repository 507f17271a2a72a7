"""Intervals against closed forms and by their coverage; decisions by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from jaxopt_notes.studies.inference import (
    _drawn_means,
    at_most,
    combined,
    decide,
    median_interval,
    paired_interval,
    points,
    share_interval,
)
from jaxopt_notes.studies.study import DEPENDS, FAILS, HOLDS, UNDECIDED


def pretended(rng: np.random.Generator, seeds: int, images: int, gain: float) -> np.ndarray:
    """Correctness (2, seeds, images) of two networks; the second is better by about `gain`."""
    hard = rng.normal(1.0, 1.0, images)  # an image's own difficulty, common to both
    luck = rng.normal(0.0, 0.15, (2, seeds, 1))  # a seed's, of each network
    noise = rng.normal(0.0, 0.6, (2, seeds, images))
    return hard + luck + noise + np.array([0.0, gain])[:, None, None] > 0


def test_the_bootstrap_s_variance_is_the_closed_form_of_two_way_draws() -> None:
    rng = np.random.default_rng(0)
    seeds, images = 4, 30
    d = rng.normal(size=(seeds, images)) + rng.normal(size=(seeds, 1)) + rng.normal(size=images)
    drawn = _drawn_means(d.astype(np.float32), 20_000, seed=1)

    def second_moments(n: int, draws: int) -> np.ndarray:
        """E[w wᵀ] of shares w of n things in that many draws with replacement."""
        return (np.eye(n) / n + (draws - 1) / n**2 * np.ones((n, n))) / draws

    rows, columns = second_moments(seeds, seeds - 1), second_moments(images, images)
    wanted = np.einsum("ij,ik,jl,kl->", d, rows, columns, d, optimize=True) - d.mean() ** 2
    assert drawn.var() == pytest.approx(wanted, rel=0.05)
    assert drawn.mean() == pytest.approx(d.mean(), abs=4 * (wanted / 20_000) ** 0.5)


@pytest.mark.parametrize("which", ["seeds", "images"])
def test_with_chance_on_one_side_only_it_is_student_s_interval(which: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.3, 1.0, 8 if which == "seeds" else 400)
    d = np.repeat(values[:, None], 5, 1) if which == "seeds" else np.repeat(values[None], 5, 0)
    interval = paired_interval(d, np.zeros_like(d), resamples=8000)
    wanted = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    assert interval["estimate"] == pytest.approx(values.mean(), abs=1e-6)
    half = (wanted[1] - wanted[0]) / 2
    assert interval["high"] - interval["estimate"] == pytest.approx(half, rel=0.05)


@pytest.mark.slow
def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    many = pretended(rng, 400, 4000, 0.1)
    truth = many[1].mean() - many[0].mean()
    inside = 0
    for _ in range(200):
        a, b = pretended(rng, 5, 300, 0.1)
        interval = paired_interval(b, a, resamples=200)
        inside += interval["low"] <= truth <= interval["high"]
    assert inside >= 184  # 190 ± 2 standard deviations; it may cover more often


def test_points_are_a_hundred_times_the_share_at_the_level_asked() -> None:
    a, b = pretended(np.random.default_rng(3), 4, 50, 0.5)
    share = paired_interval(a, b, level=0.98)
    assert points(a, b, level=0.98) == {name: 100 * x for name, x in share.items()}
    wide, narrow = points(a, b, level=0.98), points(a, b)
    assert wide["high"] - wide["low"] > narrow["high"] - narrow["low"]


def test_the_same_network_twice_has_no_difference_and_one_seed_is_refused() -> None:
    a = pretended(np.random.default_rng(0), 3, 50, 0.0)[0]
    assert paired_interval(a, a) == {"estimate": 0.0, "low": 0.0, "high": 0.0}
    assert paired_interval(a, ~a) == paired_interval(a, ~a)  # its draws are fixed
    with pytest.raises(ValueError, match="one seed"):
        paired_interval(a[:1], a[:1])


@pytest.mark.parametrize("n", [6, 7, 11, 24])
def test_median_interval_has_the_binomial_s_coverage(n: int) -> None:
    interval = median_interval(np.arange(1.0, n + 1))
    k = int(interval["low"])
    assert interval["high"] == n + 1 - k
    assert 1 - 2 * stats.binom.cdf(k - 1, n, 0.5) >= 0.95
    assert 1 - 2 * stats.binom.cdf(k, n, 0.5) < 0.95  # the next narrower pair does not reach it
    assert interval["estimate"] == (n + 1) / 2


def test_five_seeds_have_no_such_interval() -> None:
    with pytest.raises(ValueError, match="5 values: no interval of the median at 95%"):
        median_interval([1, 2, 3, 4, 5])


def test_a_threshold_inside_the_interval_decides_nothing() -> None:
    assert decide({"low": 1.0, "high": 2.0}, 1.0) == HOLDS
    assert decide({"low": 0.5, "high": 0.99}, 1.0) == FAILS
    assert decide({"low": 0.5, "high": 1.0}, 1.0) == UNDECIDED
    assert at_most({"low": 0.5, "high": 1.0}, 1.0) == HOLDS
    assert at_most({"low": 1.1, "high": 2.0}, 1.0) == FAILS
    assert at_most({"low": 1.0, "high": 2.0}, 1.0) == UNDECIDED


def test_a_rule_is_decided_where_the_open_parts_do_not_matter() -> None:
    def rule(a: bool, b: bool) -> str:
        return HOLDS if a and b else DEPENDS if a or b else FAILS

    words = {(True, True): HOLDS, (False, False): FAILS}
    for a, b in itertools.product([True, False], repeat=2):
        parts = [HOLDS if x else FAILS for x in (a, b)]
        assert combined(rule, *parts) == words.get((a, b), DEPENDS)
    assert combined(rule, HOLDS, UNDECIDED) == UNDECIDED
    assert combined(lambda a, b: FAILS if not a else rule(a, b), FAILS, UNDECIDED) == FAILS


@pytest.mark.parametrize("happened", [0, 1, 5, 12])
def test_a_share_s_interval_is_clopper_and_pearson_s(happened: int) -> None:
    interval = share_interval([True] * happened + [False] * (12 - happened))
    wanted = stats.binomtest(happened, 12).proportion_ci(0.95, "exact")
    assert interval["estimate"] == happened / 12
    assert interval["low"] == pytest.approx(wanted.low, abs=1e-9)
    assert interval["high"] == pytest.approx(wanted.high, abs=1e-9)


def test_points_are_hundredths() -> None:
    a, b = np.ones((3, 4), bool), np.array([[1, 1, 1, 0]] * 3, bool)
    whole = paired_interval(a, b)
    assert points(a, b) == {name: pytest.approx(100 * x) for name, x in whole.items()}
