"""From a schedule back to its torch scheduler, or to a LambdaLR.

A scheduler that came through `translate(optimizer, scheduler)` is restored if its state describes
it completely. Any other function of the steps becomes a LambdaLR, which a file cannot hold.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxopt_notes.conventions.torch_scheduler_tables import Schedule
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer.back.param_groups import ParamGroup

# The schedulers whose state describes them completely, each with arguments to create one in torch.
_ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "StepLR": {"step_size": 1},
    "MultiStepLR": {"milestones": []},
    "ConstantLR": {},
    "LinearLR": {},
    "ExponentialLR": {"gamma": 1.0},
    "PolynomialLR": {},
    "CosineAnnealingLR": {"T_max": 1},
    "OneCycleLR": {"max_lr": 1.0, "total_steps": 10, "cycle_momentum": False},
}


def schedules_of(groups: Sequence[ParamGroup]) -> list[Schedule] | None:
    """Each param group's schedule, if one scheduler of `_ARGUMENTS` drives them."""
    rates = [group.settings.arguments["lr"] for group in groups]
    if not all(isinstance(rate, Schedule) for rate in rates):
        return None
    first = rates[0].scheduler
    alike = all(rate.scheduler is first for rate in rates)
    return rates if alike and first.kind in _ARGUMENTS else None


def check_writable(groups: Sequence[ParamGroup]) -> list[Schedule] | None:
    """The schedules that a file can hold; None without schedules.

    Raises:
      InputError: a file cannot hold them.
    """
    schedules = schedules_of(groups)
    if schedules is not None or not any(group.scheduled for group in groups):
        return schedules
    rate = next(g for g in groups if g.scheduled).settings.arguments["lr"]
    what = (
        f"comes from torch's {rate.scheduler.kind}, whose state is incomplete"
        if isinstance(rate, Schedule)
        else "is a function of the steps"
    )
    raise InputError(
        f"the learning rate {what}, so no file can hold it: pass lr=, the number to write, and "
        "make the scheduler in torch; or use to_torch_optimizer, which makes a LambdaLR of it"
    )


def scheduler_state(groups: Sequence[ParamGroup], schedules: Sequence[Schedule]) -> dict[str, Any]:
    """The state_dict of the scheduler that drives the param groups."""
    first, taken = schedules[0], max(group.taken for group in groups)
    position = int(first.position(np, taken))
    own = {name: value for name, value in first.scheduler.of.items() if name != "optimizer"}
    return own | {
        "base_lrs": [schedule.numbers["initial_lr"] for schedule in schedules],
        "last_epoch": position,
        "_step_count": position + 1,
        "_last_lr": [group.now["lr"] for group in groups],
    }


def own_scheduler(made: Any, groups: Sequence[ParamGroup], schedules: Sequence[Schedule]) -> Any:
    """The scheduler that the schedules came from, at the current step.

    Creating it changes its optimizer, so load the optimizer's state afterwards.
    """
    from torch.optim import lr_scheduler

    kind = schedules[0].scheduler.kind
    scheduler = getattr(lr_scheduler, kind)(made, **_ARGUMENTS[kind])
    scheduler.load_state_dict(scheduler_state(groups, schedules))
    return scheduler


def lambda_scheduler(made: Any, groups: Sequence[ParamGroup]) -> Any:
    """A LambdaLR that sets the schedules' learning rates, at the current step.

    Raises:
      InputError: momentum or β1 is a function of the steps, and LambdaLR sets neither.
    """
    from torch.optim import lr_scheduler

    for group in groups:
        arguments = group.settings.arguments
        cycled = "betas" if "betas" in arguments else "momentum"
        if any(map(callable, np.ravel(arguments.get(cycled, 0)))):
            raise InputError(
                f"{cycled}: it changes at each step, and torch's LambdaLR sets only the learning "
                "rate; pass a number, or translate with a OneCycleLR"
            )
    for group, own in zip(groups, made.param_groups):
        own["initial_lr"] = 1.0 if group.scheduled else own["lr"]
    factors = [_factor(group) for group in groups]
    # A new scheduler takes its first step immediately.
    taken = max(group.taken for group in groups)
    return lr_scheduler.LambdaLR(made, factors, last_epoch=taken - 1)


def _factor(group: ParamGroup) -> Callable[[int], float]:
    """The factor that multiplies the base learning rate after the given number of steps."""
    if not group.scheduled:
        return lambda steps: 1.0
    # Keep the current setting of 64 bits, whatever it is when torch steps.
    wide = jax.dtypes.canonicalize_dtype(float) == np.float64

    def rate(steps: int) -> float:
        with jax.enable_x64(wide):
            return float(group._replace(taken=steps).now["lr"])

    return rate
