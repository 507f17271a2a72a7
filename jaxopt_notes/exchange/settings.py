"""Finds the settings of `train` that continue a checkpoint's training, and its position."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxopt_notes.config.schedulers import is_call, read, shown
from jaxopt_notes.config.settings import ROWS, Settings, epochs_for
from jaxopt_notes.conventions import torch_groups
from jaxopt_notes.errors import InputError
from jaxopt_notes.exchange import optimizers
from jaxopt_notes.exchange.optimizers import IN_CODE
from jaxopt_notes.exchange.reading import Parts
from jaxopt_notes.exchange.schedulers import course_of, holds_none
from jaxopt_notes.training.schedules import schedule

# The settings that a checkpoint's optimizer and scheduler decide
DECIDED = ("optimizer", "learning_rate", "schedule", "warmup")


def group_of(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an optimizer's param groups, which must all be equal.

    Raises:
      InputError: the settings of the groups differ.
    """
    labels = {"params", "param_names", "name"}
    first, *others = (
        {key: x for key, x in group.items() if key not in labels}
        for group in optimizer["param_groups"]
    )
    for group in others:
        for key in {**first, **group}:
            if group.get(key) != first.get(key):
                raise InputError(
                    f"the param groups differ in {key} ({first.get(key)}, {group.get(key)}), and a "
                    f"run of train has one group; {IN_CODE}"
                )
    return first


def counterpart_of(optimizer: Mapping[str, Any], scheduled: bool) -> optimizers.Counterpart:
    """The optimizer of `train` that matches a torch optimizer's state_dict.

    Raises:
      InputError: no optimizer of `train` matches.
    """
    group = group_of(optimizer)
    settings = torch_groups.settings_of([group], float(group["lr"]), None)[0]
    return optimizers.here(settings, scheduled)


def steps_of(parts: Parts, step: int | None) -> int:
    """The number of steps that the program has taken.

    Args:
      parts: the checkpoint's parts.
      step: the number that the user gives, if any; it overrides the checkpoint's.

    Raises:
      InputError: the checkpoint holds no number of steps, or two different ones.
    """
    if parts.optimizer is None:
        if step:
            raise InputError(
                f"--step {step}: without the optimizer's state a run starts at step 0; leave it out"
            )
        return 0
    counts = {int(of["step"]) for of in parts.optimizer.get("state", {}).values() if "step" in of}
    if len(counts) > 1:
        raise InputError(
            f"the optimizer's parameters have taken {min(counts)} to {max(counts)} steps, and in a "
            f"run of train all take the same; {IN_CODE}"
        )
    if step is not None:
        return step
    if parts.step is not None and counts not in (set(), {parts.step}):
        raise InputError(
            f"the checkpoint says step {parts.step}, and its optimizer has taken {min(counts)}; "
            "pass --step with the number of optimizer steps"
        )
    steps = parts.step if parts.step is not None else max(counts, default=None)
    if steps is None:
        raise InputError(
            "the checkpoint does not say how many steps were taken, and torch's SGD does not count "
            "them; pass --step N"
        )
    return steps


def with_optimizer(
    parts: Parts, asked: Mapping[str, Any], taken: int, lengths: Sequence[int]
) -> dict[str, Any]:
    """The user's settings, together with those of the checkpoint's optimizer and scheduler.

    Args:
      parts: the checkpoint's parts.
      asked: the user's settings by name.
      taken: the optimizer's steps so far.
      lengths: the possible numbers of steps in an epoch in torch.

    Raises:
      InputError: `train` has no such optimizer or schedule, the checkpoint lacks the scheduler that
        the program used, or a setting contradicts the checkpoint.
    """
    if parts.optimizer is None:
        if parts.scheduler is not None:
            raise InputError("holds a scheduler without its optimizer; save both")
        return dict(asked)
    group, chosen = group_of(parts.optimizer), {n: asked[n] for n in DECIDED if n in asked}
    own = _schedule(parts, group, chosen, taken, lengths)
    changing = own["schedule"] != "constant" or bool(own.get("warmup"))
    counterpart = counterpart_of(parts.optimizer, changing)
    own["optimizer"] = counterpart.name
    for name, value in chosen.items():
        if own[name] != value:
            raise InputError(
                f"{ROWS[name].with_value(value)}: the checkpoint has "
                f"{ROWS[name].kind.show(own[name])}; leave it out"
            )
    # torch allows a momentum of 1; `train` does not.
    return {**asked, **own, **{k: ROWS[k].checked(x) for k, x in counterpart.arguments.items()}}


def _schedule(
    parts: Parts,
    group: Mapping[str, Any],
    chosen: Mapping[str, Any],
    taken: int,
    lengths: Sequence[int],
) -> dict[str, Any]:
    """The schedule and its learning rate."""
    if parts.scheduler is not None and not ("schedule" in chosen and holds_none(parts.scheduler)):
        course = course_of(parts.scheduler, group)
        text = shown(course.call._replace(every=_every(course.taken, taken, lengths)))
        return {"schedule": text, "learning_rate": course.learning_rate, "warmup": 0.0}
    if "schedule" in chosen:
        rate = chosen.get("learning_rate", float(group.get("initial_lr", group["lr"])))
        return {"warmup": chosen.get("warmup", 0.0), **chosen, "learning_rate": rate}
    if "initial_lr" in group:
        raise InputError(
            "a scheduler set its learning rate, but the checkpoint holds no scheduler; pass "
            "--schedule, such as constant"
        )
    return {"schedule": "constant", "learning_rate": float(group["lr"]), "warmup": 0.0}


def _every(position: int, taken: int, lengths: Sequence[int]) -> int:
    """The optimizer's steps for each step of its scheduler: 1, or the steps of an epoch."""
    if position == taken:
        return 1
    fitting = [n for n in lengths if taken // n == position]
    whole = [n for n in fitting if taken == n * position]
    if not fitting:
        raise InputError(
            f"the scheduler has taken {position} steps, the optimizer {taken}, and an epoch has "
            f"{lengths[0]}; pass the torch run's --batch-size, or {IN_CODE}"
        )
    return (whole or fitting)[0]


def epochs_of(asked: Mapping[str, Any], taken: int, per_epoch: int, images: int) -> int:
    """The run's number of epochs where the user gives none: its scheduler's, or the default.

    Args:
      asked: the settings by name.
      taken: steps so far.
      per_epoch: steps in an epoch.
      images: size of the training set.
    """
    text = asked.get("schedule", "")
    whole = read(text).steps if is_call(text) else None
    usual = epochs_for(images) if whole is None else whole // per_epoch
    return max(usual, math.ceil(taken / per_epoch), 1)


def check_rate(optimizer: Mapping[str, Any], config: Settings, per_epoch: int, taken: int) -> None:
    """Refuses settings whose learning rate at this step differs from torch's.

    Raises:
      InputError: the learning rates differ, for example because the scheduler stepped once per
        epoch.
    """
    own, steps = float(group_of(optimizer)["lr"]), per_epoch * config.epochs
    at = float(schedule(config.schedule, config.learning_rate, steps, config.warmup)(taken))
    if abs(at - own) > 1e-5 * own + 1e-6 * config.learning_rate:  # float32 rounding
        raise InputError(
            f"--schedule {config.schedule}: with --learning-rate {config.learning_rate:g}, after "
            f"{taken:,} of {steps:,} steps it gives {at:.6g}, and the checkpoint's optimizer has "
            f"{own:.6g}; pass the torch run's schedule and learning rate"
        )
