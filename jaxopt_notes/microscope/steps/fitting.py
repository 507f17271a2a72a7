"""Fits an equation to records: finds the hyperparameters that explain an optimizer's steps.

The learning rate α and, for decoupled decay, α λ are linear factors. So linear least squares gives
them for any values of the other hyperparameters, and the search covers only these others.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from jaxopt_notes.microscope.steps.families import Array, Structure, directions
from jaxopt_notes.microscope.steps.probes import Record
from jaxopt_notes.microscope.steps.rounding import UNIT, allowances, coarse_weights, finite

EARLY = 10  # steps of the first look
_GUESSES, _FORGIVEN = 128, 1e-2
_CLOSE = 1e-8  # an error that only a small hyperparameter still explains
# The search range of each hyperparameter: a logit for values in [0, 1), else a logarithm.
_RANGE = {
    "β1": (0.0, 5.0),
    "β2": (0.5, 8.0),
    "τ": (-2.0, 3.0),
    "μ": (0.0, 4.0),
    "ε": (-24.0, -3.0),
    "ε_root": (-24.0, -3.0),
    "v0": (-7.0, 1.0),
    "clip": (-12.0, 8.0),
    "λ": (-9.0, 0.0),
    "η": (-7.0, 0.0),
}


class Fit(NamedTuple):
    """An equation with its numbers.

    Attributes:
      structure: the equation.
      values: by letter, with "α" and, for decoupled decay, "αλ".
      doubt: by letter, the relative uncertainty from rounding.
      misfit: the largest discrepancy in units of the rounding allowance; explained if at most 1.
      error: the median discrepancy relative to the element's largest move.
    """

    structure: Structure
    values: dict[str, float]
    doubt: dict[str, float]
    misfit: float
    error: float

    @property
    def explains(self) -> bool:
        """Whether it explains the records up to rounding, with every number determined."""
        return self.misfit <= 1 and max(self.doubt.values(), default=0.0) < 0.1


def _read(letters: tuple[str, ...], x: Array, sign: float) -> dict[str, Any]:
    """The hyperparameters, each (K, 1), from search coordinates (K, p)."""
    values = {}
    for i, letter in enumerate(letters):
        z = x[:, i : i + 1]
        values[letter] = expit(z) if letter in UNIT else np.exp(np.minimum(z, 60))
        if letter == "λ":
            values[letter] = sign * values[letter]
    return values


class Problem:
    """The residuals of one structure on some records."""

    def __init__(self, structure: Structure, records: Iterable[Record], decay_sign: float) -> None:
        self.structure, self.sign = structure, decay_sign
        self.records = [finite(record) for record in records]

    def columns(self, h: dict[str, Any]) -> list[tuple[Array, Array]]:
        """For each record, (K, T n) directions and the (T n,) parameters for the decay."""
        pairs = []
        for record in self.records:
            d, _ = directions(self.structure, h, record.conditions)
            d = d.reshape(len(d), -1, d.shape[-1]).swapaxes(0, 1)
            pairs.append((d.reshape(len(d), -1), record.conditions.params.ravel()))
        return pairs

    def residuals(self, x: Array, weights: list[Array]) -> tuple[Array, Array, Array]:
        """(K, N) weighted discrepancies at (K, p), and the linear coefficients (K, 1) each."""
        pairs = self.columns(_read(self.structure.letters, x, self.sign))
        w = np.concatenate([v.ravel() for v in weights])
        y = w * np.concatenate([r.moves.ravel() for r in self.records])
        d = -w * np.concatenate([d for d, _ in pairs], axis=1)
        d = np.nan_to_num(d, nan=0.0, posinf=0.0, neginf=0.0)
        θ = -w * np.concatenate([θ for _, θ in pairs])
        size = np.maximum(np.abs(d).max(1, keepdims=True), 1e-300)
        d = d / size
        dd, dy = (d * d).sum(1, keepdims=True), (d @ y)[:, None]
        if self.structure.decay != "decoupled":
            α = dy / np.maximum(dd, 1e-300)
            return y - α * d, α / size, np.zeros_like(α)
        dθ, θθ, θy = (d @ θ)[:, None], θ @ θ, θ @ y
        det = np.maximum(dd * θθ - dθ**2, 1e-300)
        α, λ = (dy * θθ - dθ * θy) / det, (dd * θy - dθ * dy) / det
        return y - α * d - λ * θ, α / size, λ


def screen(problem: Problem) -> tuple[float, Array]:
    """A quick look at the first steps: the smallest typical squared discrepancy, and its place."""
    early = Problem(
        problem.structure, [_early(record) for record in problem.records[:1]], problem.sign
    )
    weights = [coarse_weights(record)[:EARLY] for record in problem.records[:1]]
    if not problem.structure.letters:
        x = np.zeros((1, 0))
        return _typical(early.residuals(x, weights)[0])[0], x[0]
    low, high = np.array([_RANGE[letter] for letter in problem.structure.letters]).T
    grid = low + (high - low) * _spread(_GUESSES, len(low))
    order = np.argsort(_typical(early.residuals(grid, weights)[0]), kind="stable")
    starts = [_downhill(early, guess, weights, 10) for guess in grid[order[:3]]]
    _, best = min(starts, key=lambda pair: pair[0])
    return _downhill(early, best, weights, 20)


def fit(problem: Problem, x: Array) -> Fit:
    """The best hyperparameters for a structure, starting from the result of the first look."""
    weights = [coarse_weights(record) for record in problem.records]
    if len(x):
        _, x = _downhill(problem, x, weights, 40)
    best = _refined(problem, x, weights)
    if "ε" in problem.structure.letters and not best.explains and best.error < _CLOSE:
        for start in (-10.0, -15.0, -20.0):  # beside a large v0, only the last digits show ε
            x = np.where(np.array(problem.structure.letters) == "ε", start, x)
            best = min(best, _refined(problem, x, weights), key=lambda f: f.misfit)
    return best


def _refined(problem: Problem, x: Array, weights: list[Array]) -> Fit:
    x = x[None]
    for _ in range(2):  # the rounding allowance depends on the result
        x = _polished(problem, x)
    return _judged(problem, x, weights)


def refit(first: Fit, records: list[Record]) -> Fit:
    """Fits the structure to more records, starting from the hyperparameters of a fit."""
    x = []
    for letter in first.structure.letters:
        value = abs(first.values[letter])
        x.append(np.log(value / (1 - value)) if letter in UNIT else np.log(value))
    sign = np.sign(first.values.get("λ", 1.0))
    return fit(Problem(first.structure, records, float(sign)), np.array(x))


def _typical(r: Array) -> Array:
    return np.log1p((r / _FORGIVEN) ** 2).mean(-1)


def _downhill(problem: Problem, x: Array, weights: list[Array], most: int) -> tuple[float, Array]:
    """Least squares with a loss that is robust to outliers."""
    slope = _Slope(problem, weights)
    result = least_squares(
        slope.residuals, x, slope.jacobian, loss="cauchy", f_scale=_FORGIVEN, max_nfev=most
    )
    return float(_typical(problem.residuals(result.x[None], weights)[0])[0]), result.x


def _spread(count: int, dimensions: int) -> Array:
    """(count, dimensions) points that fill the unit cube evenly: a Kronecker sequence."""
    root = 2.0
    for _ in range(40):
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = (1 / root) ** np.arange(1, dimensions + 1)
    return (0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0


def _early(record: Record) -> Record:
    conditions = record.conditions
    return Record(
        type(conditions)(*(x[:EARLY] for x in conditions)), record.moves[:EARLY], record.roundoff
    )


class _Slope:
    """Residuals and their derivatives, from a single run."""

    def __init__(self, problem: Problem, weights: list[Array]) -> None:
        self._problem, self._weights = problem, weights

    def residuals(self, x: Array) -> Array:
        step, p = 5e-6, len(x)  # central differences, exact to 1e-10
        near = np.vstack([x, x + step * np.eye(p), x - step * np.eye(p)])
        r, α, αλ = self._problem.residuals(near, self._weights)
        r = np.clip(np.nan_to_num(r, nan=1e12), -1e12, 1e12)
        self._at, self._jacobian = x.copy(), ((r[1 : p + 1] - r[p + 1 :]) / (2 * step)).T
        self.linear = {
            "α": (α[1 : p + 1] - α[p + 1 :])[:, 0] / (2 * step),
            "αλ": (αλ[1 : p + 1] - αλ[p + 1 :])[:, 0] / (2 * step),
        }
        first: Array = r[0]
        return first

    def jacobian(self, x: Array) -> Array:
        if not np.array_equal(x, self._at):
            self.residuals(x)
        return self._jacobian


def _polished(problem: Problem, x: Array) -> Array:
    """The best point nearby, weighted by the rounding allowance."""
    if not x.shape[1]:
        return x
    _, _, _, fine = _values(problem, x)
    slope = _Slope(problem, fine)
    exact = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    result = least_squares(slope.residuals, x[0], slope.jacobian, max_nfev=60, **exact)
    return result.x[None]


def _values(problem: Problem, x: Array) -> tuple[dict[str, float], float, float, list[Array]]:
    """The hyperparameters, α, α λ and their weights."""
    h = {k: float(v[0, 0]) for k, v in _read(problem.structure.letters, x, problem.sign).items()}
    coarse = [coarse_weights(record) for record in problem.records]
    α = float(problem.residuals(x, coarse)[1][0, 0])
    fine = [1 / allowances(problem.structure, h, α, r) for r in problem.records]
    _, α_fine, λ = problem.residuals(x, fine)
    return h, float(α_fine[0, 0]), float(λ[0, 0]), fine


def _judged(problem: Problem, x: Array, coarse: list[Array]) -> Fit:
    h, α, αλ, fine = _values(problem, x)
    r, _, _ = problem.residuals(x, fine)
    rough, _, _ = problem.residuals(x, coarse)
    values = {**h, "α": α}
    if problem.structure.decay == "decoupled":
        values["αλ"] = αλ
    doubt = _doubts(problem, x[0], values, fine)
    worst = float(np.abs(r).max(initial=0.0))
    worst = worst if np.isfinite(worst) and np.isfinite(α) else np.inf
    return Fit(problem.structure, values, doubt, worst, float(np.median(np.abs(rough))))


def _doubts(
    problem: Problem, x: Array, values: dict[str, float], weights: list[Array]
) -> dict[str, float]:
    """By letter, the usual relative error when rounding errors are a fraction of their bound."""
    slope = _Slope(problem, weights)
    slope.residuals(x)
    J = slope.jacobian(x)
    J = np.nan_to_num(J)
    size = np.linalg.norm(J, axis=0)
    seen = np.where(size > 0, size, 1.0)
    # Scale all columns to equal size; otherwise a weak column would be cut off as zero.
    covariance = np.linalg.pinv((J / seen).T @ (J / seen)) / seen[:, None] / seen
    if not problem.structure.sign:  # whose β1 and β2 were measured, not fitted
        covariance[size == 0, size == 0] = np.inf
    w = np.concatenate([v.ravel() for v in weights])
    doubt = {}
    for i, letter in enumerate(problem.structure.letters):
        doubt[letter] = covariance[i, i] * (1 - values[letter] if letter in UNIT else 1.0) ** 2
    for letter, name in (("α", "moves"), ("αλ", "params")):
        if value := values.get(letter):
            columns = [
                r.moves if name == "moves" else r.conditions.params * value for r in problem.records
            ]
            total = np.sum((w * np.concatenate([c.ravel() for c in columns])) ** 2)
            slant = slope.linear[letter] / value
            spread = np.where(np.isfinite(covariance), covariance, 0.0)
            doubt[letter] = float(slant @ spread @ slant) + 1 / max(float(total), 1e-300)
    return {letter: float(np.sqrt(abs(square))) / 16 for letter, square in doubt.items()}
