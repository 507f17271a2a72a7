"""The optimizer and the settings of torch's param groups.

Every key of a group is either understood or refused, because another package's optimizer may have
Adam's settings and one more, and schedulers add keys.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import optax

from jaxopt_notes.conventions import torch
from jaxopt_notes.conventions.terms import Rate
from jaxopt_notes.conventions.torch_schedulers import Driven, Stepped, schedules_of
from jaxopt_notes.errors import InputError

Rates = Rate | Sequence[Rate]  # one for all param groups, or a list with one per group


class Settings(NamedTuple):
    """A param group's optimizer, by its name in torch, and its `conventions.torch` arguments."""

    kind: str
    arguments: dict[str, Any]

    def optimizer(self) -> optax.GradientTransformation:
        return _FUNCTIONS[self.kind](**self.arguments)

    @property
    def scheduled(self) -> bool:
        return callable(self.arguments["lr"])

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the accumulators in torch's state of a parameter."""
        of = self.arguments
        momentum = ("momentum_buffer",) if of.get("momentum") else ()
        if self.kind == "SGD":
            return momentum
        if self.kind == "Adagrad":
            return ("sum",)
        if self.kind == "RMSprop":
            return ("square_avg", *(("grad_avg",) if of["centered"] else ()), *momentum)
        return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if of["amsgrad"] else ()))

    @property
    def counts(self) -> bool:
        """Whether a step depends on the parameter's number of steps, schedules aside."""
        return bool(self.kind in ("Adam", "AdamW") or self.counts_with_schedule)

    @property
    def counts_with_schedule(self) -> bool:
        """Whether a step depends on that number and a schedule would read the same count."""
        of = self.arguments
        return bool(of.get("lr_decay") or (of.get("momentum") and of.get("dampening")))


_FUNCTIONS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "SGD": torch.sgd,
    "Adagrad": torch.adagrad,
    "RMSprop": torch.rmsprop,
    "Adam": torch.adam,
    "AdamW": torch.adamw,
}
_ADAM = "betas eps weight_decay amsgrad maximize"
_ARGUMENTS = {
    kind: tuple(arguments.split())
    for kind, arguments in {
        "SGD": "momentum dampening weight_decay nesterov maximize",
        "Adagrad": "lr_decay weight_decay initial_accumulator_value eps maximize",
        "RMSprop": "alpha eps weight_decay momentum centered maximize",
        "Adam": _ADAM,
        "AdamW": _ADAM,
    }.items()
}
# For each optimizer, a set of settings that no other torch optimizer has.
_MARKS = {
    "SGD": {"momentum", "dampening", "nesterov"},
    "Adagrad": {"lr_decay", "initial_accumulator_value"},
    "RMSprop": {"alpha", "centered"},
    "Adam": {"betas", "amsgrad"},
}
_DECOUPLED = "decoupled_weight_decay"
# These settings choose an implementation or label the group; they do not change the steps.
_WITHOUT_EFFECT = {"params", "param_names", "name"} | {
    *("foreach", "fused", "capturable", "differentiable")
}
_SCHEDULED_LR = ("initial_lr", "max_lr", "min_lr", "swa_lr")
_SCHEDULED_MOMENTUM = ("max_momentum", "base_momentum")

KINDS = tuple(_FUNCTIONS)


def settings_of(
    groups: Sequence[Mapping[str, Any]], lr: Rates | None, run: Stepped | None
) -> list[Settings]:
    """Each param group's settings.

    Args:
      groups: torch's param groups.
      lr: a learning rate that replaces the groups' learning rates, or a list with one for each
        group.
      run: the scheduler that drives the groups, as an alternative to `lr`.

    Raises:
      InputError: a group's optimizer has no equivalent here; a setting is unknown or missing; a
        scheduler drives the group and neither `lr` nor `run` is passed.
    """
    kinds = [_kind(group) for group in groups]
    for group, kind in zip(groups, kinds):
        _check(group, kind, cycled=run is not None and run.scheduler.cycles)
    own = [{name: plain(g[name]) for name in _ARGUMENTS[kind]} for g, kind in zip(groups, kinds)]
    if run is None:
        driven = [{"lr": rate} for rate in _rates(groups, lr)]
    else:
        if lr is not None:
            raise InputError("lr and scheduler both set the learning rate: pass only one of them")
        driven = [_driven(by, of) for by, of in zip(schedules_of(run, groups), own)]
    return [Settings(kind, {**of, **by}) for kind, of, by in zip(kinds, own, driven)]


def _driven(by: Driven, own: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a scheduler sets."""
    if by.momentum is None:
        return {"lr": by.lr}
    if "betas" in own:
        return {"lr": by.lr, "betas": (by.momentum, own["betas"][1])}
    return {"lr": by.lr, "momentum": by.momentum}


def _kind(group: Mapping[str, Any]) -> str:
    for kind, marks in _MARKS.items():
        if not marks <= group.keys():
            continue
        if kind != "Adam" or not group.get("weight_decay"):
            return kind
        if _DECOUPLED not in group:
            raise InputError(
                "the param group does not say whether it is Adam or AdamW, because an older "
                f"torch wrote it: set group['{_DECOUPLED}']"
            )
        return "AdamW" if group[_DECOUPLED] else "Adam"
    raise InputError(
        f"a param group of {', '.join(group)} belongs to no optimizer that has an equivalent here"
    )


def _check(group: Mapping[str, Any], kind: str, cycled: bool) -> None:
    known = {"lr", *_ARGUMENTS[kind], *_WITHOUT_EFFECT, *_SCHEDULED_LR, *_SCHEDULED_MOMENTUM}
    for key in group:
        if key not in known | ({_DECOUPLED} if "betas" in group else set()):
            raise InputError(
                f"{key!r} in a param group is not a setting of torch's {kind}: if it changes no "
                "step, delete it from the group; else this optimizer has no equivalent here"
            )
    for name in ("lr", *_ARGUMENTS[kind]):
        if name not in group:
            raise InputError(
                f"a param group has no {name}: an older torch or another package may have written "
                f"it; load the state_dict into torch.optim.{kind} and pass that"
            )
    if not cycled and any(key in group for key in _SCHEDULED_MOMENTUM):
        name = "betas" if "betas" in group else "momentum"
        raise InputError(
            f"a scheduler changes {name} at each step (the param group has max_momentum and "
            "base_momentum): pass the scheduler, translate(optimizer, scheduler); or, to go on "
            f"with {name}={plain(group.get(name))!r}, delete both keys"
        )


def _rates(groups: Sequence[Mapping[str, Any]], lr: Rates | None) -> list[Rate]:
    """A learning rate for each group."""
    if lr is None:
        several = len(groups) > 1
        marks = [key for key in _SCHEDULED_LR if any(key in group for group in groups)]
        if marks:
            each = f", or a list of {len(groups)}, one for each param group" if several else ""
            raise InputError(
                "an lr_scheduler drives this optimizer: pass lr=, a number or a schedule of the "
                f"steps{each}, or the scheduler, translate(optimizer, scheduler) (a param group "
                f"has {', '.join(marks)})"
            )
        return [plain(group["lr"]) for group in groups]
    if isinstance(lr, (list, tuple)):
        if len(lr) != len(groups):
            raise InputError(
                f"lr has {len(lr)} entries, the optimizer {len(groups)} param groups: pass one each"
            )
        return list(lr)
    # While a scheduler runs, current learning rates may be equal although the initial ones differ.
    for key in (*_SCHEDULED_LR, "lr"):
        own = [plain(group.get(key)) for group in groups]
        if any(rate != own[0] for rate in own):
            shown = "the schedule" if callable(lr) else f"{lr!r}"
            raise InputError(
                f"lr={shown} is one learning rate for param groups that have their own "
                f"({', '.join(map(str, own))}): pass lr=[…, …], one for each"
            )
    return [lr for _ in groups]  # type: ignore[misc]


def plain(value: Any) -> Any:
    """A setting as a Python value; torch allows tensors."""
    if isinstance(value, (tuple, list)):
        return tuple(map(plain, value))
    return value.item() if hasattr(value, "item") and np.ndim(value) == 0 else value
