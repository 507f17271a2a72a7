"""Intervals, and what they decide. Numpy and SciPy's quantiles only; no JAX.

An interval is {"estimate", "low", "high"}. A rule does not compare an estimate with its threshold
but the interval: where the threshold lies inside, the study has not decided.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxopt_notes.studies.study import FAILS, HOLDS, UNDECIDED

RESAMPLES, SEED = 2000, 0

Interval = dict[str, float]


def decide(interval: Interval, threshold: float) -> str:
    """HOLDS where the whole interval is at least the threshold, FAILS where it is all below.

    >>> [decide({"low": a, "high": b}, 1.0) for a, b in ((1, 2), (0, 0.9), (0.9, 1.1))]
    ['holds', 'fails', 'not decided']
    """
    if interval["low"] >= threshold:
        return HOLDS
    return FAILS if interval["high"] < threshold else UNDECIDED


def at_most(interval: Interval, threshold: float) -> str:
    """HOLDS where the whole interval is at most the threshold, FAILS where it is all above.

    >>> at_most({"low": 0.1, "high": 0.2}, 0.2)
    'holds'
    """
    return decide({"low": -interval["high"], "high": -interval["low"]}, -threshold)


def combined(rule: Callable[..., str], *parts: str) -> str:
    """The verdict of a rule over several parts, of which some may not be decided.

    Args:
      rule: takes one bool for each part and returns a verdict.
      parts: each HOLDS, FAILS or UNDECIDED.

    Returns:
      The rule's verdict if it is the same however the undecided parts turn out; else UNDECIDED.

    >>> combined(lambda a, b: "holds" if a and b else "fails", "fails", "not decided")
    'fails'
    """
    ways = [(True, False) if part == UNDECIDED else (part == HOLDS,) for part in parts]
    words = {rule(*way) for way in itertools.product(*ways)}
    return words.pop() if len(words) == 1 else UNDECIDED


def median_interval(values: Any, level: float = 0.95) -> Interval:
    """The median over the seeds, between two order statistics.

    Of n independent values, the k-th lowest and the k-th highest hold the true median with
    probability 1 − 2 P(Binomial(n, ½) < k), whatever the distribution. The narrowest pair that
    reaches the level is taken.

    Raises:
      ValueError: fewer than six values, whose range has no 95 %.

    >>> median_interval([5.0, 1.0, 2.0, 4.0, 3.0, 6.0])
    {'estimate': 3.5, 'low': 1.0, 'high': 6.0}
    """
    ordered = np.sort(np.asarray(values, float))
    n = len(ordered)
    outside = 2 * np.cumsum([math.comb(n, i) for i in range(n // 2)]) / 2**n
    k = int((outside <= 1 - level).sum())  # as many as may be left out at either end, and one
    if k == 0:
        raise ValueError(f"{n} values: no interval of the median at {level:.0%}; use more seeds")
    with np.errstate(invalid="ignore"):
        estimate = float(np.median(ordered))
    return {"estimate": estimate, "low": float(ordered[k - 1]), "high": float(ordered[n - k])}


def paired_interval(
    correct_a: Any,
    correct_b: Any,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """By how much a's accuracy exceeds b's, paired over seeds × test images.

    The two-way (pigeonhole) bootstrap of Owen 2007 draws seeds and images anew, each with
    replacement. One seed fewer is drawn than there are (McCarthy & Snowden 1985), since few seeds
    drawn n times vary by (n − 1)/n too little. It counts the chance that belongs to single
    (seed, image) pairs up to three times, so it errs towards "not decided". The interval is the
    difference ± t times the bootstrap's standard deviation, with Satterthwaite's degrees of
    freedom.

    Args:
      correct_a: bool (seeds, images): whether a's network of that seed has that image right.
      correct_b: likewise for b, on the same seeds and images.
      level: the interval's coverage.
      resamples: how often both are drawn anew.
      seed: of these draws.

    Returns:
      The interval, as a share: 0.01 is one point of accuracy.
    """
    from scipy.special import stdtrit

    difference = np.asarray(correct_a, np.float32) - np.asarray(correct_b, np.float32)
    seeds, images = difference.shape
    if seeds < 2:
        raise ValueError("paired_interval: one seed says nothing about the others; use more")
    drawn = _drawn_means(difference, resamples, seed)
    by_seed, by_image = difference.mean(1), difference.mean(0)
    parts = np.array([by_seed.var(ddof=1) / seeds, by_image.var(ddof=1) / images])
    freedom = parts.sum() ** 2 / (parts**2 / [seeds - 1, images - 1]).sum() if parts.sum() else 1.0
    half = float(stdtrit(freedom, (1 + level) / 2) * drawn.std(ddof=1))
    mean = float(difference.mean(dtype=np.float64))
    return {"estimate": mean, "low": mean - half, "high": mean + half}


def points(correct_a: Any, correct_b: Any, level: float = 0.95) -> Interval:
    """`paired_interval` in points of accuracy: times 100."""
    share = paired_interval(correct_a, correct_b, level)
    return {name: 100 * x for name, x in share.items()}


def share_interval(happened: Any, level: float = 0.95) -> Interval:
    """The share of independent runs in which something happens: exact (Clopper & Pearson 1934).

    >>> interval = share_interval([True] * 3 + [False] * 9)
    >>> [round(interval[name], 3) for name in ("estimate", "low", "high")]
    [0.25, 0.055, 0.572]
    """
    from scipy.special import betaincinv

    happened = np.asarray(happened, bool)
    n, k = len(happened), int(happened.sum())
    low = float(betaincinv(k, n - k + 1, (1 - level) / 2)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, (1 + level) / 2)) if k < n else 1.0
    return {"estimate": k / n, "low": low, "high": high}


def _drawn_means(difference: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The mean of each resample."""
    seeds, images = difference.shape
    rows, columns = _redrawn(seeds, images, resamples, seed)
    over_rows = rows.astype(np.float32) @ difference  # (resamples, images)
    means = [each @ times.astype(np.int64) / images for each, times in zip(over_rows, columns)]
    return np.asarray(means)


@functools.lru_cache(maxsize=1)
def _redrawn(seeds: int, images: int, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each resample's weight of each seed, and how often it draws each image.

    Drawing takes most of an interval's time, and comparisons of one size draw alike.
    """
    rng = np.random.default_rng(seed)
    rows = rng.multinomial(seeds - 1, np.full(seeds, 1 / seeds), resamples) / (seeds - 1)
    chances = np.full(images, 1 / images)
    columns = [rng.multinomial(images, chances).astype(np.uint16) for _ in range(resamples)]
    return rows, np.stack(columns)
