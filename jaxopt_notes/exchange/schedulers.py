"""Turns torch's schedulers in a checkpoint into values of `train --schedule`.

Some schedulers are refused. A state_dict does not hold the user's function (LambdaLR) or the losses
to come (ReduceLROnPlateau); and `train` does not change the momentum (CyclicLR, and OneCycleLR by
default).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxopt_notes.config import schedulers
from jaxopt_notes.config.schedulers import Call
from jaxopt_notes.conventions.torch_scheduler_rules import Scheduler
from jaxopt_notes.conventions.torch_schedulers import stepped
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.exchange.optimizers import IN_CODE


class Course(NamedTuple):
    """The schedule of a learning rate, and its position.

    Attributes:
      call: the scheduler.
      learning_rate: the value of `--learning-rate`: the optimizer's own; for OneCycleLR, the
        highest.
      taken: the number of steps that the scheduler has taken.
    """

    call: Call
    learning_rate: float
    taken: int


def holds_none(state: Mapping[str, Any]) -> bool:
    """Whether a state_dict is LambdaLR's, whose function no file holds."""
    return "lr_lambdas" in state


def course_of(state: Mapping[str, Any], group: Mapping[str, Any]) -> Course:
    """The course of a scheduler's state_dict.

    Args:
      state: the scheduler's state_dict.
      group: the optimizer's param group, where OneCycleLR keeps its learning rates.

    Raises:
      InputError: `train` has no such scheduler; the line names the scheduler.
    """
    try:
        run = stepped(state, {"param_groups": [group]}, every=1, ahead=0, total_steps=None)
        if run is None:
            raise InputError("the scheduler's state is empty")
        call = _call(run.scheduler, group)
        first = (*run.scheduler.parts, run.scheduler)[0]
        rate = group["max_lr"] if call.kind == "OneCycleLR" else first.of["base_lrs"][0]
        return Course(call, float(rate), run.position)
    except InputError as error:
        remedy = (
            f"pass --schedule, such as constant; or {IN_CODE}" if holds_none(state) else IN_CODE
        )
        raise InputError(f"{str(error).partition(';')[0]}; {remedy}") from None
    # A file may hold anything in place of a state.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(
            "the scheduler's state is not what torch's state_dict() returns "
            f"({first_line(error)}); "
            f"{IN_CODE}"
        ) from error


def _call(scheduler: Scheduler, group: Mapping[str, Any]) -> Call:
    kind, of = scheduler.kind, scheduler.of
    if kind == "SequentialLR":
        parts = tuple(_call(part, group) for part in scheduler.parts)
        return schedulers.make(kind, schedulers=parts, milestones=tuple(of["_milestones"]))
    if kind == "OneCycleLR":
        return _one_cycle(of, group)
    if kind not in schedulers.ARGUMENTS:
        raise InputError(f"train has no {kind}")
    # The state keeps the arguments under their own names.
    arguments = {name: of[name] for name in schedulers.ARGUMENTS[kind]}
    if kind == "MultiStepLR":  # torch keeps milestones as a Counter
        times = dict(arguments["milestones"])
        arguments["milestones"] = tuple(k for k in sorted(times) for _ in range(times[k]))
    return schedulers.make(kind, **arguments)


def _one_cycle(of: Mapping[str, Any], group: Mapping[str, Any]) -> Call:
    if of["cycle_momentum"]:
        raise InputError("train has no OneCycleLR with cycle_momentum=True")
    total, phases = of["total_steps"], of["_schedule_phases"]
    initial, highest, last = (float(group[name]) for name in ("initial_lr", "max_lr", "min_lr"))
    return schedulers.make(
        "OneCycleLR",
        total_steps=total,
        pct_start=_rounded((phases[0]["end_step"] + 1) / total),
        anneal_strategy=of["_anneal_func_type"],
        div_factor=_rounded(highest / initial),
        final_div_factor=_rounded(initial / last),
        three_phase=len(phases) == 3,
    )


def _rounded(x: float) -> float:
    """A ratio without the noise of its last digits: 25.0 for 24.999999999999996."""
    return float(f"{x:.14g}")
