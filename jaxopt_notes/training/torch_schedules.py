"""The learning rate of a torch scheduler over a run, computed by torch's arithmetic."""

from typing import Any

import numpy as np

from jaxopt_notes.config.schedulers import Call
from jaxopt_notes.conventions.torch_scheduler_rules import Scheduler
from jaxopt_notes.conventions.torch_scheduler_tables import Schedule, Tail, replay, tail


def torch_schedule(call: Call, alpha: float, steps: int) -> Schedule:
    """The learning rate as a function of the steps taken.

    Args:
      call: the scheduler.
      alpha: the optimizer's learning rate; for OneCycleLR, its max_lr.
      steps: length of the run; up to it, at least, the function equals torch's.

    >>> from jaxopt_notes.config.schedulers import read
    >>> rate = torch_schedule(read("StepLR(step_size=2, gamma=0.5)"), 1.0, steps=5)
    >>> [float(rate(k)) for k in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    scheduler, group = _scheduler(call, alpha), {"initial_lr": alpha}
    if call.kind == "OneCycleLR":
        group |= _one_cycle_rates(call, alpha)
    known = tail(scheduler) or Tail(steps)
    if not known.period:  # torch refuses to go on, and so does `schedule`
        known = known._replace(period=1)
    values = np.array([lr for lr, _ in replay(scheduler, 0, group, known.length)], np.float64)
    return Schedule(values, known, call.every, 0, scheduler, group)


def _one_cycle_rates(call: Call, alpha: float) -> dict[str, float]:
    """The learning rates that torch's OneCycleLR keeps in its param group."""
    initial = alpha / call.arguments["div_factor"]
    last = initial / call.arguments["final_div_factor"]
    return {"initial_lr": initial, "max_lr": alpha, "min_lr": last}


def _scheduler(call: Call, alpha: float) -> Scheduler:
    """The scheduler with the attributes that it has in torch."""
    of: dict[str, Any] = {**call.arguments, "base_lrs": [alpha]}
    if call.kind == "SequentialLR":
        parts = tuple(_scheduler(part, alpha) for part in of["schedulers"])
        return Scheduler(call.kind, {**of, "_milestones": list(of["milestones"])}, parts)
    if call.kind == "MultiStepLR":
        of["milestones"] = {k: of["milestones"].count(k) for k in of["milestones"]}
    if call.kind == "OneCycleLR":
        of |= {"cycle_momentum": False, "_anneal_func_type": of["anneal_strategy"]}
        of["_schedule_phases"] = _phases(of["total_steps"], of["pct_start"], of["three_phase"])
    return Scheduler(call.kind, of)


def _phases(total: int, up: float, three: bool) -> list[dict[str, Any]]:
    names = ["initial_lr", "max_lr", *(["initial_lr"] if three else []), "min_lr"]
    ends = [up * total - 1, *([2 * up * total - 2] if three else []), total - 1]
    return [
        {"start_lr": start, "end_lr": end, "end_step": float(step)}
        for start, end, step in zip(names, names[1:], ends)
    ]
