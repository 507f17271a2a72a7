"""Turns a run's schedule into a torch scheduler, with its state after the run's steps.

torch itself makes the scheduler and steps it once for each step of the run. So the state equals the
one that a torch program would have saved after as many steps.
"""

import warnings
from typing import Any

from jaxopt_notes.config.schedulers import Call, is_call, make, read
from jaxopt_notes.config.settings import Settings
from jaxopt_notes.extras import require

# The entries that a scheduler keeps in its optimizer's param group
_IN_GROUP = ("lr", "initial_lr", "max_lr", "min_lr")


def counterpart(config: Settings, steps: int, peak: float) -> tuple[Call | None, str]:
    """A run's torch scheduler, or the reason why there is none; neither for a constant rate.

    Args:
      config: the run's settings.
      steps: length of the run.
      peak: the highest learning rate in torch.
    """
    name = config.schedule
    if is_call(name):
        return _scaled(read(name), peak / config.learning_rate), ""
    rising = round(config.warmup * steps)
    falling = steps - rising
    if name == "constant":
        return None, _from_zero(name, rising, steps) if rising else ""
    if (name == "cosine" and rising) or not falling:
        return None, _from_zero(name, rising, steps)
    if name == "cosine":
        return make("CosineAnnealingLR", T_max=falling), ""
    cosine = make("CosineAnnealingLR", T_max=falling, eta_min=peak / 1e4)
    if not rising:
        return cosine, ""
    linear = make("LinearLR", start_factor=1 / 25, end_factor=1.0, total_iters=rising)
    return make("SequentialLR", schedulers=(linear, cosine), milestones=(rising,)), ""


def _scaled(call: Call, factor: float) -> Call:
    """The scheduler with its lowest learning rate scaled; the rest is relative to the optimizer."""
    of = dict(call.arguments)
    if "eta_min" in of:
        of["eta_min"] *= factor
    if call.kind == "SequentialLR":
        of["schedulers"] = tuple(_scaled(part, factor) for part in of["schedulers"])
    return call._replace(arguments=of)


def _from_zero(name: str, rising: int, steps: int) -> str:
    return (
        f"{name} rises from 0 over {rising:,} of {steps:,} steps, which in torch only LambdaLR can "
        "do, and no file holds its function"
    )


def taken_in_torch(call: Call, peak: float, steps: int) -> tuple[dict[str, float], dict[str, Any]]:
    """A scheduler's entries in its param group after some steps, and its state_dict.

    Args:
      call: the scheduler.
      peak: the optimizer's learning rate; for OneCycleLR, its max_lr.
      steps: the number of steps that the scheduler has taken.

    Raises:
      MissingExtraError: torch is not installed.
    """
    require("a scheduler for torch", "torch")
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR itself does what it warns about
        made = _made(call, optimizer, peak)
        for _ in range(steps // call.every):
            optimizer.step()
            made.step()
    group = optimizer.param_groups[0]
    return {name: group[name] for name in _IN_GROUP if name in group}, made.state_dict()


def _made(call: Call, optimizer: Any, peak: float) -> Any:
    from torch.optim import lr_scheduler

    kind, of = call.kind, dict(call.arguments)
    if kind == "OneCycleLR":
        of |= {"max_lr": peak, "cycle_momentum": False}
    if kind == "SequentialLR":
        parts = [_made(each, optimizer, peak) for each in of["schedulers"]]
        return lr_scheduler.SequentialLR(optimizer, parts, list(of["milestones"]))
    return getattr(lr_scheduler, kind)(optimizer, **of)
