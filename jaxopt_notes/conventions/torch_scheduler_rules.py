"""torch's schedulers step by step: the arithmetic of torch.optim.lr_scheduler in Python floats.

Most of torch's schedulers compute a learning rate from the one before: ExponentialLR multiplies by
γ at each step, and LinearLR and CosineAnnealingLR multiply by a quotient of two values of their
formula. Such a sequence collects rounding errors that the closed form does not have. So the rules
here repeat torch's operations in torch's order, in float64. They follow torch 2.13.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Group = dict[str, Any]  # a torch param group; "cycled" is its momentum or β1


class Scheduler(NamedTuple):
    """A torch scheduler.

    Attributes:
      kind: its class in torch.optim.lr_scheduler.
      of: its attributes.
      parts: the schedulers inside a SequentialLR or a ChainedScheduler.
    """

    kind: str
    of: Mapping[str, Any]
    parts: tuple["Scheduler", ...] = ()

    @property
    def cycles(self) -> bool:
        """Whether the scheduler sets momentum or β1 too."""
        return bool(self.of.get("cycle_momentum")) or any(part.cycles for part in self.parts)


def advance(scheduler: Scheduler, i: int, k: int, group: Group, first: bool) -> None:
    """Sets the learning rate of param group i as step k of the scheduler does.

    Args:
      scheduler: the scheduler.
      i: the param group's index.
      k: how many steps the scheduler has taken; 0 at its creation.
      group: the param group, which is changed.
      first: whether the run begins at this step. SequentialLR starts its later schedulers at k = 0
        in the middle of the run.
    """
    if scheduler.kind == "SequentialLR":
        milestones = scheduler.of["_milestones"]
        j = bisect_right(milestones, k)
        advance(
            scheduler.parts[j], i, k - (milestones[j - 1] if j and not first else 0), group, first
        )
    elif scheduler.kind == "ChainedScheduler":
        for part in scheduler.parts:
            advance(part, i, k, group, first)
    else:
        base = float(scheduler.of["base_lrs"][i])
        if k == 0 and not first and scheduler.kind != "MultiplicativeLR":
            group["lr"] = base
        rule = _RULES[scheduler.kind]
        group["lr"] = float(rule(_Step(scheduler.of, i, k, group, base, first)))


class _Step(NamedTuple):
    """The inputs from which a rule computes the learning rate of step k."""

    of: Mapping[str, Any]
    i: int
    k: int
    group: Group
    base: float
    first: bool

    @property
    def lr(self) -> Any:
        """The learning rate of the step before."""
        return self.group["lr"]


def _lambda(s: _Step) -> Any:
    return s.base * float(s.of["lr_lambdas"][s.i](s.k))


def _multiplicative(s: _Step) -> Any:
    return s.lr if s.first else s.lr * float(s.of["lr_lambdas"][s.i](s.k))


def _step(s: _Step) -> Any:
    return s.lr if s.k == 0 or s.k % s.of["step_size"] else s.lr * s.of["gamma"]


def _multi_step(s: _Step) -> Any:
    times = s.of["milestones"].get(s.k, 0)
    return s.lr * s.of["gamma"] ** times if times else s.lr


def _constant(s: _Step) -> Any:
    if s.k == 0:
        return s.lr * s.of["factor"] if s.first or s.of["total_iters"] else s.lr
    return s.lr * (1.0 / s.of["factor"]) if s.k == s.of["total_iters"] else s.lr


def _linear(s: _Step) -> Any:
    start, end, steps = s.of["start_factor"], s.of["end_factor"], s.of["total_iters"]
    if s.k == 0:
        return s.lr * start
    if s.k > steps:
        return s.lr
    return s.lr * (1.0 + (end - start) / (steps * start + (s.k - 1) * (end - start)))


def _exponential(s: _Step) -> Any:
    return s.lr if s.k == 0 else s.lr * s.of["gamma"]


def _polynomial(s: _Step) -> Any:
    steps = s.of["total_iters"]
    if s.k == 0 or s.k > steps:
        return s.lr
    return s.lr * ((1.0 - s.k / steps) / (1.0 - (s.k - 1) / steps)) ** s.of["power"]


def _cosine(s: _Step) -> Any:
    steps, least = s.of["T_max"], s.of["eta_min"]
    if s.k == 0:
        return s.lr if s.first else least + (s.base - least) * (1 + math.cos(0)) / 2
    if (s.k - 1 - steps) % (2 * steps) == 0:  # torch's formula for leaving the minimum
        return s.lr + (s.base - least) * (1 - math.cos(math.pi / steps)) / 2
    here, before = (1 + math.cos(math.pi * k / steps) for k in (s.k, s.k - 1))
    return here / before * (s.lr - least) + least


def _warm_restarts(s: _Step) -> Any:
    steps, least, since = s.of["T_0"], s.of["eta_min"], s.k
    if s.of["T_mult"] == 1:
        since %= steps
    while since >= steps:
        since, steps = since - steps, steps * s.of["T_mult"]
    return least + (s.base - least) * (1 + math.cos(math.pi * since / steps)) / 2


def _one_cycle(s: _Step) -> Any:
    start = 0.0
    *_, last = phases = s.of["_schedule_phases"]
    for phase in phases:
        if s.k <= phase["end_step"] or phase is last:
            break
        start = phase["end_step"]
    share = (s.k - start) / (phase["end_step"] - start)
    height = math.cos(math.pi * share) + 1

    def between(first: str, last: str) -> Any:
        one, other = s.group[first], s.group[last]
        if s.of["_anneal_func_type"] == "linear":
            return (other - one) * share + one
        return other + (one - other) / 2.0 * height

    if s.of["cycle_momentum"]:
        s.group["cycled"] = between(phase["start_momentum"], phase["end_momentum"])
    return between(phase["start_lr"], phase["end_lr"])


def _cyclic(s: _Step) -> Any:
    of, i = s.of, s.i
    cycle = math.floor(1 + s.k / of["total_size"])
    x = 1.0 + s.k / of["total_size"] - cycle
    ratio = of["step_ratio"]
    height = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
    scale = 1.0
    if of["_scale_fn_custom"] is not None:
        scale = float(of["_scale_fn_custom"](cycle if of["scale_mode"] == "cycle" else s.k))
    elif of["mode"] == "triangular2":
        scale = 1 / 2.0 ** (cycle - 1)
    elif of["mode"] == "exp_range":
        scale = of["gamma"] ** s.k
    if of["cycle_momentum"]:
        least, largest = (float(of[name][i]) for name in ("base_momentums", "max_momentums"))
        s.group["cycled"] = largest - (largest - least) * height * scale
    return s.base + (float(of["max_lrs"][i]) - s.base) * height * scale


_RULES: dict[str, Callable[[_Step], Any]] = {
    "LambdaLR": _lambda,
    "MultiplicativeLR": _multiplicative,
    "StepLR": _step,
    "MultiStepLR": _multi_step,
    "ConstantLR": _constant,
    "LinearLR": _linear,
    "ExponentialLR": _exponential,
    "PolynomialLR": _polynomial,
    "CosineAnnealingLR": _cosine,
    "CosineAnnealingWarmRestarts": _warm_restarts,
    "OneCycleLR": _one_cycle,
    "CyclicLR": _cyclic,
}
