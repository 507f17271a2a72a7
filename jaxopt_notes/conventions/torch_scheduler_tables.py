"""A scheduler's values as a table, and the table as a function of a traced step.

The first values are replayed once by torch's own arithmetic (`torch_scheduler_rules`) in float64. A
closed form in float32, JAX's default, would be wrong in the seventh digit. The table ends where the
values become constant or periodic, or fall by a constant factor. Other tables are as long as the
schedule: a OneCycleLR of 100 000 steps puts 400 KB into the compiled step.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.conventions.torch_scheduler_rules import Scheduler, advance


class Tail(NamedTuple):
    """How a scheduler goes on after its first values.

    Attributes:
      length: the number of first values.
      period: how many of the last values are repeated; 0 if torch refuses a further step.
      ratio: the factor by which each repetition is multiplied.
    """

    length: int
    period: int = 1
    ratio: float = 1.0


# This many values of an endless schedule equal torch's to the last digit. Later values lack the
# rounding errors that torch collects.
_EXACT = 4096


def tail(scheduler: Scheduler) -> Tail | None:
    """How the scheduler goes on; None if only its own code determines that."""
    of = scheduler.of
    match scheduler.kind:
        case "OneCycleLR":
            return Tail(of["total_steps"] + 1, period=0)
        case "MultiStepLR":
            return Tail(max(of["milestones"], default=0) + 1)
        case "ConstantLR" | "LinearLR" | "PolynomialLR":
            return Tail(math.floor(of["total_iters"]) + 1)
        case "StepLR" | "ExponentialLR" if of["gamma"] > 0:
            return _repeated(of.get("step_size", 1), of["gamma"])
        case "CosineAnnealingLR" if of["T_max"] == int(of["T_max"]):
            return _repeated(2 * int(of["T_max"]))
        case "CosineAnnealingWarmRestarts" if of["T_mult"] == 1:
            return _repeated(of["T_0"])
        case "SequentialLR":
            last = tail(scheduler.parts[-1])
            begins = of["_milestones"][-1] if of["_milestones"] else 0
            return last and last._replace(length=begins + last.length)
    return None


def _repeated(period: int, ratio: float = 1.0) -> Tail:
    return Tail(period * max(1, _EXACT // period), period, ratio)


def replay(
    scheduler: Scheduler, i: int, group: Mapping[str, Any], steps: int
) -> Iterable[tuple[float, float]]:
    """The learning rate and the momentum, or β1, of the first steps; NaN where it sets none."""
    now = dict(group)
    now["lr"] = float(group["initial_lr"])
    now["cycled"] = math.nan
    for part in scheduler.parts:  # each part set its momentum at its creation
        begun = dict(now)
        advance(part, i, 0, begun, first=True)
        now["cycled"] = begun["cycled"]
    for k in range(steps):
        advance(scheduler, i, k, now, first=k == 0)
        yield now["lr"], now["cycled"]


@dataclass(frozen=True, eq=False)
class Schedule:
    """A value that a scheduler sets in a param group, as a function of the optimizer's steps.

    Attributes:
      values: after each of the scheduler's first steps.
      tail: how they go on.
      every: how many optimizer steps make one scheduler step.
      ahead: how many of the optimizer's steps the scheduler is ahead.
      scheduler: the scheduler with these values, for the way back.
      numbers: the numbers that the scheduler reads from the param group.
    """

    values: np.ndarray
    tail: Tail
    every: int
    ahead: int
    scheduler: Scheduler
    numbers: Mapping[str, float]

    def __call__(self, count: Any) -> jax.Array:
        """The value that the optimizer's next step takes, in JAX."""
        # A copy, because JAX caches an array once rounded to float32 and would use it in float64
        # too.
        values = self.values.copy()
        value: jax.Array = value_at(jnp, values, self.tail, self.position(jnp, count))
        return value

    def exactly(self, steps: int) -> float:
        """The value in float64, even where JAX has no float64."""
        return float(value_at(np, self.values, self.tail, self.position(np, steps)))

    def position(self, xp: Any, count: Any) -> Any:
        """The steps that the scheduler has taken, by NumPy or by JAX."""
        return xp.maximum((count + self.ahead) // self.every, 0)


def value_at(xp: Any, values: np.ndarray, tail: Tail, k: Any) -> Any:
    """The scheduler's value after k of its steps, by NumPy or by JAX."""
    length, period, ratio = tail
    if period == 0:
        values, length, period = np.append(values, np.nan), length + 1, 1
    rounds = xp.maximum(k - length + period, 0) // period
    value = xp.asarray(values)[k - rounds * period]
    # As an exponential: powers of γ rounded to float32 would be wrong by a factor after many steps.
    return value if ratio == 1 else value * xp.exp(rounds * math.log(ratio))
