"""Compares two optimizers on equal gradients: where they separate, and how far."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.microscope.steps.steppers import Arrays, Stepper
from jaxopt_notes.verification import problem

STEPS = 1_000
TRUST = 8  # units in the last place by which two correct implementations may differ in a step


class Problem(NamedTuple):
    """The input of both optimizers.

    Attributes:
      params: name → the initial parameters.
      gradients: name → the gradients, one row for each step.
    """

    params: Arrays
    gradients: Arrays

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return min(len(rows) for rows in self.gradients.values())


class Distance(NamedTuple):
    """The distance of two paths at each step (T,).

    Attributes:
      ulps: the largest distance of an element, in units in the last place of the element's largest
        value so far.
      relative: the largest distance of an element, relative to the distance that it travelled.
    """

    ulps: np.ndarray
    relative: np.ndarray

    @property
    def first_step(self) -> int | None:
        """The first step, from 1, at which rounding cannot explain the distance."""
        allowed = TRUST * np.arange(1, len(self.ulps) + 1)
        apart = ~(self.ulps <= allowed)
        return int(np.argmax(apart)) + 1 if apart.any() else None


def usual_problem(dtype: str, steps: int = STEPS) -> Problem:
    """The certificate's parameters and its gradients, from 1e-9 to 1e3 with zeros."""
    return Problem(problem.start(dtype), problem.gradients(steps, dtype))


def own_problem(params: Any, grads: Sequence[Any]) -> Problem:
    """The user's parameters and gradients, trees of equal structure, by the leaves' names.

    Raises:
      ValueError: there are no gradients, or their names are not those of the parameters.
    """
    named = _leaves(params)
    rows = [_leaves(tree) for tree in grads]
    if not rows:
        raise ValueError("grads: is empty; pass one tree of gradients for each step")
    for k, row in enumerate(rows):
        if row.keys() != named.keys():
            raise ValueError(f"grads[{k}]: its leaves differ from those of params")
    return Problem(named, {name: np.stack([row[name] for row in rows]) for name in named})


def _leaves(tree: Any) -> Arrays:
    import jax

    return {
        jax.tree_util.keystr(path, simple=True, separator="/") or "params": np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def walk(stepper: Stepper, problem: Problem) -> Arrays:
    """Name → the parameters before the first step and after each, float64 (1 + T, …)."""
    stepper.start({name: p.copy() for name, p in problem.params.items()})
    path = [problem.params]
    for k in range(problem.steps):
        path.append(stepper.step({name: rows[k] for name, rows in problem.gradients.items()}))
    return {name: np.stack([at[name] for at in path]).astype(np.float64) for name in problem.params}


def distance(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], dtype: Any) -> Distance:
    """The distance of two paths of `walk` after each step."""
    ulps: list[np.ndarray] = []
    relative: list[np.ndarray] = []
    for name, path in a.items():
        ours, other = (x.reshape(len(x), -1) for x in (path, b[name]))
        off = np.abs(ours - other)
        off[np.isnan(ours) & np.isnan(other)] = 0.0
        off = np.nan_to_num(off, nan=np.inf, posinf=np.inf)
        size = np.maximum.accumulate(np.maximum(np.abs(ours), np.abs(other)))
        travelled = np.cumsum(np.abs(np.diff(other, axis=0)), axis=0)
        with np.errstate(all="ignore"):
            for distances, unit in (
                (ulps, float(np.finfo(dtype).eps) * size[1:]),
                (relative, travelled),
            ):
                share = np.where(np.isfinite(off[1:]), off[1:] / unit, np.inf)
                distances.append(np.where(off[1:] > 0, share, 0.0).max(1, initial=0.0))
    return Distance(np.max(ulps, axis=0), np.max(relative, axis=0))
