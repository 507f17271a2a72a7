"""The check: the printed equations, stepped beside the optimizer on awkward gradients."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.evaluation import Step
from jaxopt_notes.microscope.equations.system import System
from jaxopt_notes.microscope.equations.tracing import Program
from jaxopt_notes.verification.problem import awkward

STEPS = 100
LATE, LATE_STEPS = 5000, 10  # a program that counts steps is also run from a late step
TOLERANCE = 1e-12
_NO_ROUNDING = 1e-9  # a larger difference in float64 is not rounding
# The roundings allowed in one step that computes in less than float64. Allowing half of a 16-bit
# dtype's digits would hide an error. At a late step, terms such as 1 − t^−β have lost digits.
_ROUNDINGS, _ROUNDINGS_OF_HALF, _LATE = 32, 8, 5


Take = Callable[..., Any]


class Check(NamedTuple):
    """How well the equations match the optimizer.

    Attributes:
      holds: whether every number of every step agrees.
      steps: how many steps were taken from the first one.
      late: whether more steps were taken from a late step.
      dtype: the narrowest floating dtype in which the optimizer computes.
      largest: the largest difference, relative to the element's largest value.
      tolerance: the largest allowed difference.
      failure: the error, or "".
      unseen: the cases, by number, whose conditions no step met.
      uphill: the arrays, by number, whose first nonzero step followed the gradient.
    """

    holds: bool
    steps: int
    dtype: str
    largest: float
    tolerance: float
    failure: str = ""
    unseen: tuple[int, ...] = ()
    uphill: tuple[int, ...] = ()
    late: bool = False


def check(system: System, steps: int = STEPS) -> Check:
    """Steps the equations and the optimizer from one start on equal gradients."""
    dtype = min(system.narrow, key=_precision) if system.narrow else "float64"
    narrow = dtype != "float64"
    roundings = _ROUNDINGS if dtype == "float32" else _ROUNDINGS_OF_HALF
    tolerance = roundings * _eps(dtype) if narrow else TOLERANCE
    if system.unread:
        return Check(False, 0, dtype, math.inf, tolerance, "; ".join(system.unread))
    try:
        take = _compiled(system.program.optimizer)
        runs = [_Run(system, take, steps, narrow)]
        if late := any(line.kind == "count" for line in system.lines):
            runs.append(_Run(system, take, LATE_STEPS, narrow, LATE))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return Check(
            False, 0, dtype, math.inf, tolerance, f"its equation cannot be evaluated ({error})"
        )
    worst = max(runs, key=lambda run: run.worst)
    if not narrow and tolerance < worst.worst < _NO_ROUNDING:
        tolerance = max(tolerance, 10 * _rounding(system, steps))
    allowed = [tolerance, _LATE * tolerance if narrow else tolerance]
    holds = all(run.worst <= most for run, most in zip(runs, allowed))
    gap = f"the equation of {worst.where} is {worst.worst:.0e} from the optimizer's"
    met = set().union(*(run.met for run in runs))
    unseen = tuple(sorted({*range(len(system.regimes))} - met))
    uphill, failure = tuple(runs[0].uphill), "" if holds else gap
    return Check(holds, steps, dtype, runs[0].worst, tolerance, failure, unseen, uphill, late)


def _eps(dtype: str) -> float:
    return float(jnp.finfo(dtype).eps)


def _precision(dtype: str) -> float:
    return -_eps(dtype)


def gradients(program: Program, steps: int, spoilt: bool = False) -> list[list[np.ndarray]]:
    """A gradient for each array and step: from 1e-9 to 1e3, with zeros.

    Args:
      program: the program with the arrays.
      steps: how many.
      spoilt: put a NaN into one step in the middle and into the last tenth of the steps.
    """
    random = np.random.default_rng(0)
    columns = [
        awkward(steps, max(p.size, 4), random)[:, : p.size].reshape(steps, *p.shape)
        for p in program.params
    ]
    if spoilt:
        bad = [steps // 2, *range(steps - steps // 10, steps)]
        columns[0].reshape(steps, -1)[bad, 0] = np.nan
    return [[column[k] for column in columns] for k in range(steps)]


def _asks_for_finite(system: System) -> bool:
    """Whether NaN in a gradient leads to a separate case."""
    tests = [test for regime in system.regimes for test, _ in regime.conditions]
    return any(a.args[0].name == "is_finite" for t in tests for a in t.atoms(ops.Applied))


class _Run:
    """The equations and the optimizer, stepped side by side.

    In float64 both run independently from one start. If the optimizer rounds to a narrower dtype,
    each step begins at the optimizer's state, and the updates of θ are compared. Then rounding
    errors do not accumulate, and θ's size hides nothing.

    Attributes:
      worst: the largest difference.
      where: the letter of the value with the largest difference.
      met: the cases whose conditions were met, by number.
      uphill: the arrays whose first step followed the gradient.
    """

    def __init__(self, system: System, take: Take, steps: int, narrow: bool, late: int = 0) -> None:
        self.met: set[int] = set()
        self.uphill: list[int] = []
        program = system.program
        grads = gradients(program, steps, _asks_for_finite(system))
        params: list[Any] = list(program.params)
        counted = {line.letter for line in system.lines if line.kind == "count"}
        program = program._replace(
            slots=tuple(
                s._replace(initial=s.initial + s.initial.dtype.type(late))
                if letter in counted
                else s
                for s, letter in zip(program.slots, system.slots)
            )
        )
        slots = _start(program, np.float64)
        gaps = _Gaps()
        still = set(range(len(params)))
        for g, real in zip(grads, _steps(program, take, grads)):
            step = Step(system, g, params, slots)
            self.met.add(step.case)
            before, params, slots = params, step.parameters(), step.state()
            moves = [p - q for p, q in zip(params, before)]
            for i in tuple(still):
                along = float(np.sum(moves[i] * g[i]))
                if along:
                    still.remove(i)
                    self.uphill += [i] if along > 0 else []
            n = len(params)
            there = [p - q for p, q in zip(real[:n], before)] if narrow else real[:n]
            gaps.add([*(moves if narrow else params), *slots], [*there, *real[n:]])
            if narrow:
                params = real[:n]
                slots = [
                    s.spread(np.asarray(x, np.float64), params[s.leaf or 0].shape)
                    for s, x in zip(program.slots, real[n:])
                ]
        names = [f"θ of {leaf}" for leaf in program.leaves]
        names += [letter or s.field for s, letter in zip(program.slots, system.slots)]
        self.worst, k = gaps.worst()
        self.where = names[k]


class _Gaps:
    """The differences of two runs: each element's largest difference and largest value."""

    def __init__(self) -> None:
        self._gaps: dict[int, Any] = {}
        self._sizes: dict[int, Any] = {}

    def add(self, ours: list[Any], expected: list[Any]) -> None:
        """Adds one step."""
        for k, (mine, there) in enumerate(zip(ours, expected)):
            y = np.asarray(there, np.longdouble)
            x = np.reshape(np.asarray(mine, np.longdouble), y.shape)
            same = (x == y) | (np.isnan(x) & np.isnan(y))
            with np.errstate(invalid="ignore"):
                gap = np.where(same, 0.0, np.abs(x - y))
            gap = np.where(np.isnan(gap), np.inf, gap)
            size = np.where(np.isfinite(y), np.abs(y), 0.0)
            self._gaps[k] = np.maximum(self._gaps.get(k, 0.0), gap)
            self._sizes[k] = np.maximum(self._sizes.get(k, 0.0), size)

    def worst(self) -> tuple[float, int]:
        """The largest difference relative to the element's size, and the value that has it."""
        shares = [
            float(np.max(gap / np.where(self._sizes[k] > 0, self._sizes[k], 1.0), initial=0.0))
            for k, gap in self._gaps.items()
        ]
        k = max(range(len(shares)), key=shares.__getitem__)
        return shares[k], k


def _rounding(system: System, steps: int) -> float:
    """The distance of the equations in float64 from the equations with 11 more bits.

    Differences of nearly equal numbers, as in RAdam's ρ_t, lose digits in any order of operations;
    the optimizer's own rounding error is as large.
    """
    program = system.program
    kinds = (np.float64, np.longdouble)
    at = {kind: [p.astype(kind) for p in program.params] for kind in kinds}
    slots = {kind: _start(program, kind) for kind in kinds}
    gaps = _Gaps()
    for grads in gradients(program, steps):
        for kind in kinds:
            step = Step(system, [g.astype(kind) for g in grads], at[kind], slots[kind], kind)
            at[kind], slots[kind] = step.parameters(), step.state()
        gaps.add(*([*at[kind], *slots[kind]] for kind in kinds))
    return gaps.worst()[0]


def _start(program: Program, kind: Any) -> list[Any]:
    """The state before the first step."""
    return [
        s.spread(np.asarray(s.initial).astype(kind), program.params[s.leaf or 0].shape)
        for s in program.slots
    ]


def _compiled(optimizer: Any) -> Take:
    """The optimizer's step: from gradients, state and parameters to parameters and state."""

    def take(grads: Any, state: Any, params: Any) -> Any:
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(take)


def _steps(
    program: Program, take: Take, inputs: list[list[np.ndarray]]
) -> Iterator[list[np.ndarray]]:
    """The parameters and the state of the optimizer after each step."""
    with jax.enable_x64(True):
        params = program.tree.unflatten(jax.device_put(program.params))
        state = program.optimizer.init(params)
        tree: Any = jax.tree.structure(state)
        leaves = [
            x if s.initial is None else jax.device_put(np.asarray(s.initial, x.dtype))
            for x, s in zip(jax.tree.leaves(state), program.slots)
        ]
        state = tree.unflatten(leaves)
    for grads in inputs:
        with jax.enable_x64(True):
            g = program.tree.unflatten(grads)
            params, state = take(g, state, params)
            values = [np.asarray(x) for x in jax.tree.leaves((params, state))]
        yield values
