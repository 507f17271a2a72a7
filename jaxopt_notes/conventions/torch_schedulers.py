"""A torch scheduler's learning rates as functions of the steps taken, one for each param group.

A scheduler is read from the object itself, or from its `state_dict()`, whose keys identify the
class. The functions look up torch's own numbers in a table (`torch_scheduler_tables`). Only their
own code determines how LambdaLR, MultiplicativeLR, ChainedScheduler and a few more continue. For
these, `total_steps` sets the length of the table, and the learning rate is NaN after its end. The
learning rate is also NaN after the last step of OneCycleLR, where torch raises an error.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.conventions.torch_scheduler_rules import Scheduler
from jaxopt_notes.conventions.torch_scheduler_tables import (
    Schedule,
    Tail,
    replay,
    tail,
    value_at,
)
from jaxopt_notes.errors import InputError


class Stepped(NamedTuple):
    """A torch scheduler, and when the run steps it.

    Attributes:
      scheduler: as passed to `translate`.
      every: how many optimizer steps make one scheduler step.
      ahead: how many optimizer steps the scheduler is ahead.
      total_steps: the number of steps of the whole run, where the scheduler needs it.
    """

    scheduler: Scheduler
    every: int = 1
    ahead: int = 0
    total_steps: int | None = None

    @property
    def position(self) -> int:
        """How many steps the scheduler has taken."""
        return _position(self.scheduler)

    def check_steps(self, steps: int) -> None:
        """Raises InputError unless the scheduler's step count fits the optimizer's."""
        if (steps + self.ahead) // self.every != self.position:
            raise InputError(
                f"the scheduler has taken {self.position} steps, the optimizer {steps}: pass "
                "scheduler_every=N if the run steps it once in N steps (an epoch), or "
                f"scheduler_ahead={self.position * self.every - steps} if it began earlier or "
                "later, or the optimizer skipped steps"
            )

    def steps(self) -> int:
        """How many steps the optimizer has taken; torch's SGD does not count them.

        Raises:
          InputError: the scheduler steps only once in several steps, so it does not know the number
            either.
        """
        if self.every != 1:
            raise InputError(
                f"torch's SGD does not count its steps, and its scheduler counts every "
                f"{self.every}th: pass steps="
            )
        return self.position - self.ahead


class Driven(NamedTuple):
    """The values that a scheduler sets in a param group: learning rate, perhaps momentum or β1."""

    lr: Schedule
    momentum: Schedule | None


# The attributes of each class, besides the attributes of every scheduler. A user's class has
# others.
_ATTRIBUTES = {
    kind: frozenset(names.split())
    for kind, names in {
        "LambdaLR": "lr_lambdas",
        "MultiplicativeLR": "lr_lambdas",
        "StepLR": "step_size gamma",
        "MultiStepLR": "milestones gamma",
        "ConstantLR": "factor total_iters",
        "LinearLR": "start_factor end_factor total_iters",
        "ExponentialLR": "gamma",
        "PolynomialLR": "total_iters power",
        "CosineAnnealingLR": "T_max eta_min",
        "CosineAnnealingWarmRestarts": "T_0 T_i T_mult eta_min T_cur",
        "OneCycleLR": "total_steps _schedule_phases _anneal_func_type cycle_momentum",
        "CyclicLR": "max_lrs total_size step_ratio mode gamma _scale_fn_custom scale_mode "
        "cycle_momentum",
        "SequentialLR": "_schedulers _milestones",
        "ChainedScheduler": "_schedulers",
    }.items()
}
_OF_FUNCTIONS = ("LambdaLR", "MultiplicativeLR", "CyclicLR")
_OF_EVERY = frozenset(
    [
        *("optimizer", "base_lrs", "last_epoch", "verbose", "_step_count", "_last_lr"),
        *("_get_lr_called_within_step", "_is_initial"),
        # Some versions and settings leave these attributes out of the state.
        *("use_beta1", "base_momentums", "max_momentums", "_scale_fn_ref"),
    ]
)


def stepped(
    scheduler: Any, optimizer: Any, every: int, ahead: int, total_steps: int | None
) -> Stepped | None:
    """The scheduler as passed to `translate`, read and checked; None if there is none."""
    if scheduler is None:
        if (every, ahead, total_steps) != (1, 0, None):
            raise InputError(
                "scheduler_every, scheduler_ahead and total_steps belong to a scheduler: pass "
                "translate(optimizer, scheduler, …)"
            )
        return None
    for name, value in {"scheduler_every": every, "total_steps": total_steps}.items():
        if value is not None and not (hasattr(value, "__index__") and value >= 1):
            raise InputError(f"{name}={value!r}: must be a whole number of 1 or more")
    driven = getattr(scheduler, "optimizer", None)
    if not isinstance(optimizer, Mapping) and driven is not None and driven is not optimizer:
        raise InputError("scheduler: it drives another optimizer; pass that one, or its state_dict")
    return Stepped(_read(scheduler), every, ahead, total_steps)


def schedules_of(run: Stepped, groups: Sequence[Mapping[str, Any]]) -> list[Driven]:
    """The values that the scheduler sets in each param group, as functions of the optimizer's
    steps.

    Groups with equal values share their functions.

    Args:
      run: the scheduler.
      groups: torch's param groups, in which OneCycleLR keeps its largest and smallest values.

    Raises:
      InputError: the scheduler belongs to other groups, has finished, or something else has changed
        the learning rate.
    """
    scheduler, known = run.scheduler, tail(run.scheduler)
    if known is None:
        known = Tail(_entries(run), period=0)
    made: dict[Any, tuple[np.ndarray, Driven]] = {}
    driven = []
    for i, group in enumerate(groups):
        _check_group(scheduler, i, group, len(groups))
        numbers = _numbers(group, scheduler, i)
        key = (*numbers.items(), *_own(scheduler, i))
        if key not in made:
            table = np.array(list(replay(scheduler, i, numbers, known.length)), np.float64)
            lr = Schedule(table[:, 0], known, run.every, run.ahead, scheduler, numbers)
            steady = known._replace(ratio=1.0)
            momentum = replace(lr, values=table[:, 1], tail=steady) if scheduler.cycles else None
            made[key] = table, Driven(lr, momentum)
        table, by = made[key]
        _check_now(run, known, group, table)
        driven.append(by)
    return driven


def _read(scheduler: Any) -> Scheduler:
    """The scheduler with its kind and attributes."""
    if isinstance(scheduler, Mapping):
        of = dict(scheduler)
        own = of.keys() - _OF_EVERY
        kinds = [kind for kind, attributes in _ATTRIBUTES.items() if attributes == own]
        named = f"a scheduler's state_dict of {', '.join(sorted(map(str, own))) or 'nothing'}"
    else:
        home, kind = type(scheduler).__module__, type(scheduler).__name__
        own_class = home == "torch.optim.lr_scheduler" and kind in _ATTRIBUTES
        kinds, named = [kind] if own_class else [], f"{home}.{kind}"
        of = dict(vars(scheduler)) if own_class else {}
    if not kinds:
        raise InputError(
            f"scheduler: {named} has no equivalent here; pass lr=[…], a number or a function of "
            "the steps for each param group"
        )
    if isinstance(scheduler, Mapping) and kinds[0] in _OF_FUNCTIONS:
        raise InputError(
            f"scheduler: a {kinds[0]}'s state_dict does not hold its functions; pass the scheduler "
            "itself, or lr=[…]"
        )
    parts = tuple(map(_read, of.get("_schedulers", ())))
    if any(part.parts for part in parts):
        raise InputError(
            f"scheduler: a {kinds[0]} of schedulers that hold others has no equivalent here; pass "
            "lr=[…]"
        )
    return Scheduler(kinds[0], of, parts)


def _position(scheduler: Scheduler) -> int:
    if scheduler.kind == "ChainedScheduler":
        return _position(scheduler.parts[0])
    return int(scheduler.of["last_epoch"])


def _entries(run: Stepped) -> int:
    """The number of steps that the scheduler takes in the whole run."""
    if run.total_steps is None:
        raise InputError(
            f"scheduler: only its own code knows how this {run.scheduler.kind} goes on; pass "
            "total_steps=, the number of steps of the whole run, those in torch included"
        )
    entries = (run.total_steps - 1 + run.ahead) // run.every + 1
    if entries <= run.position:
        raise InputError(
            f"total_steps={run.total_steps}: the scheduler has taken {run.position} steps already; "
            "pass the number of steps of the whole run, those in torch included"
        )
    return entries


def _check_group(scheduler: Scheduler, i: int, group: Mapping[str, Any], groups: int) -> None:
    for one in scheduler.parts or (scheduler,):
        if len(one.of["base_lrs"]) != groups:
            raise InputError(
                f"scheduler: it drives {len(one.of['base_lrs'])} param groups, the optimizer has "
                f"{groups}; pass the optimizer that it was made for"
            )
        names = {phase[key] for phase in one.of.get("_schedule_phases", ()) for key in phase}
        names = {name for name in names if isinstance(name, str)}
        if not one.of.get("cycle_momentum"):
            names = {name for name in names if name.endswith("lr")}
        for name in names - group.keys():
            raise InputError(
                f"scheduler: OneCycleLR keeps {name} in its optimizer's param groups, and param "
                f"group {i} has none; pass the optimizer that it was made for"
            )


def _numbers(group: Mapping[str, Any], scheduler: Scheduler, i: int) -> dict[str, Any]:
    """The param group's own numbers that a scheduler may read."""
    first = (scheduler.parts or (scheduler,))[0]
    keys = ("max_lr", "min_lr", "max_momentum", "base_momentum")
    numbers = {key: float(group[key]) for key in keys if key in group}
    return {**numbers, "initial_lr": float(group.get("initial_lr", first.of["base_lrs"][i]))}


def _own(scheduler: Scheduler, i: int) -> list[Any]:
    """The scheduler's own values for one param group."""
    names = ("base_lrs", "lr_lambdas", "max_lrs", "base_momentums", "max_momentums")
    own = [
        one.of[name][i]
        for one in scheduler.parts or (scheduler,)
        for name in names
        if name in one.of
    ]
    return [x if callable(x) else float(x) for x in own]


def _check_now(run: Stepped, tail: Tail, group: Mapping[str, Any], table: np.ndarray) -> None:
    """Raises InputError unless the param group has the values that the scheduler set."""
    momentum = (
        ("beta1", group["betas"][0]) if "betas" in group else ("momentum", group.get("momentum"))
    )
    pairs = [("lr", group["lr"]), momentum] if run.scheduler.cycles else [("lr", group["lr"])]
    for values, (name, now) in zip(table.T, pairs):
        expected = float(value_at(np, values, tail, run.position))
        if math.isnan(expected):
            raise InputError(f"scheduler: it has finished its {len(values) - 1} steps")
        if not math.isclose(float(now), expected, rel_tol=1e-5, abs_tol=1e-9 * float(values[0])):
            raise InputError(
                f"scheduler: a param group has {name}={float(now):g} where the scheduler is at "
                f"{expected:g} after {run.position} steps, so something else changes it too; join "
                "several schedulers in a ChainedScheduler, or pass lr=[…]"
            )
