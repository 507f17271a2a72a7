"""The gradients of `identify`, and records of the optimizer's steps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.microscope.steps.families import Array, Conditions, conditions
from jaxopt_notes.microscope.steps.steppers import Arrays, Stepper

STEPS, LONG = 24, 320
SCALES = tuple(10.0**k for k in (-12, -10, -8, -6, -4, -3, -2, -1, 0, 1, 2, 4))


class Experiment(NamedTuple):
    """The gradients and the start of one element of the array.

    Attributes:
      kind: "random", "push" (once, then zeros), "constant", or "decay" (away from 0).
      scale: the size of its gradients.
      start: its parameter at the start.
    """

    kind: str
    scale: float
    start: float


class Record(NamedTuple):
    """The record of an optimizer's steps on one array.

    Attributes:
      conditions: the gradients, the parameters before each step, and so on.
      moves: (T, n), the change of the parameters at each step, in float64.
      roundoff: the unit of rounding of the parameters' dtype.
    """

    conditions: Conditions
    moves: Array
    roundoff: float

    @property
    def rounding(self) -> Array:
        """(T, n), how much of each move may be rounding of the parameters."""
        return self.roundoff * (
            np.abs(self.conditions.params) + np.abs(self.conditions.params + self.moves)
        )


def experiments() -> list[Experiment]:
    """The elements of the main record, each a separate history, as optimizers are elementwise."""
    kinds = [Experiment(k, s, 0.0) for s in SCALES for k in ("random", "push", "constant")]
    kinds += [Experiment("random", s, 0.0) for s in (1e-7, 1e-5, 3e-3, 0.3, 1.0)]
    kinds += [Experiment("decay", 0.0, start) for start in (1.5, -0.7)]
    return kinds + [Experiment("random", s, at) for s in (1e-3, 1.0) for at in (1.5, -0.7)]


def histories(steps: int, seed: int) -> Array:
    """(T, n) gradients of the experiments. All scales use one random pattern."""
    random = np.random.default_rng(seed)
    pattern = random.normal(size=steps)
    pattern[0] = 1.0 if seed % 2 else -1.0
    push = np.eye(steps)[0]
    columns = []
    for kind, scale, _ in (experiment for experiment in experiments()):
        own = random.normal(size=steps) if kind == "random" and scale in (1e-7, 1.0) else pattern
        shape = {"push": push, "constant": np.ones(steps), "random": own, "decay": 0 * push}[kind]
        columns.append(scale * shape)
    return np.array(columns).T


class Laboratory:
    """Drives a stepper and records what it does."""

    def __init__(self, stepper: Stepper, dtype: str) -> None:
        self.stepper, self.dtype = stepper, np.dtype(dtype)
        self.roundoff = float(np.finfo(self.dtype).eps) / 2
        self.steps = 0

    def begin(self, params: Mapping[str, Array]) -> None:
        """Starts from these parameters."""
        self._at = {name: np.asarray(p, self.dtype) for name, p in params.items()}
        self.stepper.start({name: p.copy() for name, p in self._at.items()})

    def walk(
        self,
        gradients: Mapping[str, Sequence[Array | None] | Array],
        before: Callable[[int], Any] = lambda step: None,
    ) -> dict[str, Record]:
        """Takes further steps.

        Args:
          gradients: for each array, (T, n) or T gradients; some may be None.
          before: called before each step with its number.

        Returns:
          A record of each array, with zero rows for missing gradients.
        """
        arrays: Any = {
            name: [None if g is None else np.asarray(g, self.dtype) for g in rows]
            for name, rows in gradients.items()
        }
        path = {name: [p.astype(np.float64)] for name, p in self._at.items()}
        for k in range(len(next(iter(arrays.values())))):
            before(k)
            after = self.stepper.step({name: rows[k] for name, rows in arrays.items()})
            self._at = {name: np.array(p) for name, p in after.items()}
            self.steps += 1
            for name, p in self._at.items():
                path[name].append(p.astype(np.float64))
        return {name: self._record(rows, np.array(path[name])) for name, rows in arrays.items()}

    def alone(self, gradients: Array, start: Array) -> Record:
        """A fresh run with one array, w."""
        self.begin({"w": start})
        return self.walk({"w": gradients})["w"]

    def params(self) -> Arrays:
        """The current parameters."""
        return {name: p.copy() for name, p in self._at.items()}

    def _record(self, rows: Sequence[Array | None], path: Array) -> Record:
        path = path.reshape(len(path), -1)
        zeros = np.zeros(path.shape[1])
        gradients = np.array([zeros if g is None else g.astype(float).ravel() for g in rows])
        with np.errstate(all="ignore"):
            moves = np.diff(path, axis=0)
        return Record(conditions(gradients, path[:-1]), moves, self.roundoff)


def starts() -> Array:
    """(n,) the experiments' initial parameters."""
    return np.array([experiment.start for experiment in experiments()])


def modulated(gradients: Array) -> Array:
    """The histories with some steps scaled down, so that clipping spares some of them."""
    return gradients * 10.0 ** (-2 * (np.arange(len(gradients)) % 7))[:, None]


def coupled(laboratory: Laboratory, record: Record) -> bool:
    """Whether an element's first steps change if the elements with large gradients get none."""
    steps = 4
    gradients = record.conditions.gradients[:steps].copy()
    small = np.abs(gradients).max(0) < 1.0
    gradients[:, ~small] = 0.0
    other = laboratory.alone(gradients, starts()).moves[:, small]
    here = record.moves[:steps, small]
    allowed = 1e4 * laboratory.roundoff * np.abs(here) + 1e3 * record.rounding[:steps, small]
    return bool(np.any(np.abs(other - here) > allowed))


def sign_decays(laboratory: Laboratory) -> tuple[float, float] | None:
    """β1 and β2 of Lion, from the gradient that reverses its step after a push of 1.

    At the second step that gradient is β1 (1 − β2) / (1 − β1), at the third β2 times as large.
    """
    second, third = (_turning(laboratory, wait) for wait in (0, 1))
    if not second or not third or not third < second:
        return None
    β2 = third / second
    return second / (1 - β2 + second), β2


def _turning(laboratory: Laboratory, wait: int) -> float | None:
    low, high = 1e-9, 1e6
    for _ in range(12):
        x = np.geomspace(low, high, 64)
        push = np.ones_like(x)
        moves = laboratory.alone(np.array([push, *[0 * x] * wait, -x]), 0 * x).moves
        turned = np.sign(moves[-1]) == -np.sign(moves[0])
        if not turned[-1] or turned[0]:
            return None
        first = int(np.argmax(turned))
        low, high = float(x[first - 1]), float(x[first])
        if high - low <= 4 * laboratory.roundoff * high:
            break
    return (low * high) ** 0.5
