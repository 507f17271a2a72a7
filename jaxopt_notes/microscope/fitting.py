"""Fits an equation to records: which hyperparameters explain what an optimizer did?

The learning rate α (and α λ of decoupled decay) multiply what the rest of the equation gives, so
for any choice of the other hyperparameters they follow from linear least squares; only the others
are searched for.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from jaxopt_notes.microscope.families import Array, Structure, directions
from jaxopt_notes.microscope.probes import Record

EARLY = 10  # steps that a first look takes
_GUESSES, _FORGIVEN = 128, 1e-2
TRUST = 64.0  # how many roundings an implementation may be off
_UNIT = {"β1", "β2", "τ", "μ"}
# Where each hyperparameter is looked for: the logit of those in [0, 1), else the logarithm.
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
      doubt: by letter, what rounding leaves open of each, relative to it.
      misfit: the largest discrepancy in units of what rounding allows; explained if at most 1.
      error: the median discrepancy relative to the element's largest move.
    """

    structure: Structure
    values: dict[str, float]
    doubt: dict[str, float]
    misfit: float
    error: float

    @property
    def explains(self) -> bool:
        """Whether it explains the records to rounding."""
        return self.misfit <= 1


def _read(letters: tuple[str, ...], x: Array, sign: float) -> dict[str, Any]:
    """Hyperparameters from search coordinates (K, p): each is (K, 1)."""
    values = {}
    for i, letter in enumerate(letters):
        z = x[:, i : i + 1]
        values[letter] = 1 / (1 + np.exp(-z)) if letter in _UNIT else np.exp(np.minimum(z, 60))
        if letter == "λ":
            values[letter] = sign * values[letter]
    return values


class Problem:
    """The residuals of one structure on some records."""

    def __init__(self, structure: Structure, records: Iterable[Record], decay_sign: float) -> None:
        self.structure, self.sign = structure, decay_sign
        self.records = [_finite(record) for record in records]

    def columns(self, h: dict[str, Any]) -> list[tuple[Array, Array]]:
        """For each record (K, T n) directions and (T n,) parameters that decay multiplies."""
        pairs = []
        for record in self.records:
            d, _ = directions(self.structure, h, record.given)
            d = d.reshape(len(d), -1, d.shape[-1]).swapaxes(0, 1)
            pairs.append((d.reshape(len(d), -1), record.given.params.ravel()))
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


def _finite(record: Record) -> Record:
    """The record without the elements that became infinite or NaN."""
    good = np.isfinite(record.moves).all(0)
    if good.all():
        return record
    given = record.given
    given = given._replace(gradients=given.gradients[:, good], params=given.params[:, good])
    return Record(given, record.moves[:, good], record.roundoff)


def coarse_weights(record: Record) -> Array:
    """Each element relative to its largest move; one that stands still, to the median of them."""
    largest = np.abs(record.moves).max(0)
    usual = np.median(largest[largest > 0]) if (largest > 0).any() else 1.0
    largest = np.where(largest > 0, largest, usual)
    return np.broadcast_to(1 / (largest + 1e3 * record.rounding.max(0)), record.moves.shape)


def allowances(
    structure: Structure, h: dict[str, float], α: float, record: Record, **how: Any
) -> Array:
    """(T, n), by how much rounding may move what the equation gives.

    Measured: the equation is run again with gradients and decay rates off by one rounding.
    """
    u, random, given = record.roundoff, np.random.default_rng(0), record.given
    plain, _ = directions(structure, h, given, **how)
    spread = np.abs(plain) * u
    for sign in (1, -1):
        noise = 1 + u * random.normal(size=given.gradients.shape)
        off = given._replace(gradients=given.gradients * noise)
        near = {k: v * (1 + sign * u) if k in _UNIT else v for k, v in h.items()}
        for moved in (
            directions(structure, h, off, **how),
            directions(structure, near, given, **how),
        ):
            spread = np.maximum(spread, np.abs(moved[0] - plain))
    spread = np.maximum.accumulate(spread, axis=0) * 0.1 + spread
    allowed: Array = TRUST * (record.rounding + abs(α) * spread) + 1e-290
    return allowed


def discrepancies(fit: Fit, record: Record, **how: Any) -> Array:
    """(T,), the largest discrepancy of each step in units of what rounding allows.

    Args:
      fit: the equation and its numbers.
      record: what the optimizer did.
      **how: `memory` and `rate_inside`, as `families.directions` has them.
    """
    record = _finite(record)
    d, _ = directions(fit.structure, fit.values, record.given, **how)
    α = fit.values["α"]
    expected = -α * d - fit.values.get("αλ", 0.0) * record.given.params
    allowed = allowances(fit.structure, fit.values, α, record, **how)
    ratio: Array = (np.abs(record.moves - expected) / allowed).max(1, initial=0.0)
    return ratio


def screen(problem: Problem) -> tuple[float, Array]:
    """A quick look at the first steps: the typical squared discrepancy, and where it is least."""
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
    found = [_downhill(early, guess, weights, 25) for guess in grid[order[:3]]]
    return min(found, key=lambda pair: pair[0])


def fit(problem: Problem, x: Array) -> Fit:
    """The best hyperparameters for a structure, from where the first look has left it."""
    weights = [coarse_weights(record) for record in problem.records]
    if len(x):
        _, x = _downhill(problem, x, weights, 40)
    x = x[None]
    for _ in range(2):  # what rounding allows depends on what is found
        x = _polished(problem, x)
    return _judged(problem, x, weights)


def _typical(r: Array) -> Array:
    return np.log1p((r / _FORGIVEN) ** 2).mean(-1)


def _downhill(problem: Problem, x: Array, weights: list[Array], most: int) -> tuple[float, Array]:
    """Least squares with a loss that forgives outliers."""
    result = least_squares(
        lambda x: problem.residuals(x[None], weights)[0][0],
        x,
        jac=lambda x: _jacobian(problem, x, weights),
        loss="cauchy",
        f_scale=_FORGIVEN,
        max_nfev=most,
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
    given = record.given
    return Record(type(given)(*(x[:EARLY] for x in given)), record.moves[:EARLY], record.roundoff)


def _jacobian(problem: Problem, x: Array, weights: list[Array]) -> Array:
    step = 1e-7
    near = np.vstack([x, x + step * np.eye(len(x))])
    r, _, _ = problem.residuals(near, weights)
    return ((r[1:] - r[0]) / step).T


def _polished(problem: Problem, x: Array) -> Array:
    """The best point nearby, weighed by what rounding allows."""
    if not x.shape[1]:
        return x
    _, _, _, fine = _values(problem, x)
    result = least_squares(
        lambda x: np.clip(problem.residuals(x[None], fine)[0][0], -1e12, 1e12),
        x[0],
        jac=lambda x: _jacobian(problem, x, fine),
        max_nfev=25,
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
    )
    return result.x[None]


def _values(problem: Problem, x: Array) -> tuple[dict[str, float], float, float, list[Array]]:
    """Hyperparameters, α, α λ and the weights that go with them."""
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
    values, doubt = {**h, "α": α}, {}
    if problem.structure.decay == "decoupled":
        values["αλ"] = αλ
    if x.shape[1]:
        J = _jacobian(problem, x[0], fine)
        spread = np.sqrt(np.abs(np.diag(np.linalg.pinv(J.T @ J)))) / TRUST
        for letter, σ in zip(h, spread):
            doubt[letter] = float(σ) * (1 - h[letter] if letter in _UNIT else 1.0)
    worst = float(np.abs(r).max(initial=0.0))
    worst = worst if np.isfinite(worst) and np.isfinite(α) else np.inf
    return Fit(problem.structure, values, doubt, worst, float(np.median(np.abs(rough))))
