"""The learning rate over a run: optax's schedules under their common names.

    constant    α
    cosine      from α to 0 along half a cosine
    one-cycle   from α / 25 up to α in a straight line, then down to α / 10⁴ along half a cosine
    StepLR(…)   as torch's scheduler of that name does (`torch_schedules.py`)

A warm-up rises in a straight line to α over its share of the run, from 0 (one-cycle: from α / 25).
Sources: Loshchilov & Hutter 2017 ("SGDR", §3); Smith & Topin 2018 ("Super-Convergence", §3).
"""

import optax

from jaxopt_notes.config import schedulers
from jaxopt_notes.config.settings import SCHEDULES
from jaxopt_notes.errors import InputError


def schedule(name: str, peak: float, steps: int, warmup: float | None = None) -> optax.Schedule:
    """The named schedule over a run.

    Args:
      name: one of `SCHEDULES`, or the call of a torch scheduler.
      peak: α, the largest learning rate.
      steps: length of the run.
      warmup: the warm-up's share of the run, in [0, 1); None takes the schedule's default.

    Returns:
      The learning rate as a function of the number of steps taken.

    Raises:
      InputError: torch's OneCycleLR ends before the run does.

    >>> rate = schedule("one-cycle", peak=1.0, steps=100)
    >>> [round(float(rate(k)), 4) for k in (0, 25, 100)]
    [0.04, 1.0, 0.0001]
    """
    if schedulers.is_call(name):
        call = schedulers.read(name)
        if call.kind == "OneCycleLR" and (call.steps or 0) < steps:
            raise InputError(
                f"--schedule {name}: the run has {steps:,} steps; pass as many total_steps, or "
                "fewer --epochs"
            )
        # Imported here, because the other schedules do not need torch's conventions.
        from jaxopt_notes.training.torch_schedules import torch_schedule

        return torch_schedule(call, peak, steps)
    share = SCHEDULES[name] if warmup is None else warmup
    rising = round(share * steps)
    if name == "constant":
        return optax.warmup_constant_schedule(0.0, peak, rising) if rising else lambda step: peak
    low, end = (peak / 25, peak / 1e4) if name == "one-cycle" else (0.0, 0.0)
    start = low if rising else peak
    return optax.warmup_cosine_decay_schedule(start, peak, rising, steps, end)
