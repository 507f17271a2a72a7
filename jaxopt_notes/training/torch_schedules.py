"""The learning rate of torch's schedulers, as a function of the steps taken.

    StepLR                 α γ^⌊k / n⌋
    MultiStepLR            α γ^(milestones up to k)
    ExponentialLR          α γ^k
    CosineAnnealingLR      η + (α − η) (1 + cos(π k / T)) / 2
    LinearLR               α (a + (b − a) min(k, n) / n)
    OneCycleLR             from α / div to α, then to α / div / final_div
    SequentialLR           each with its own k, from its milestone on

Read off torch 2.13, which computes the same recursively; the two differ by rounding.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import optax

from jaxopt_notes.config.schedulers import Scheduler


def torch_schedule(scheduler: Scheduler, alpha: float) -> optax.Schedule:
    """The learning rate under a scheduler of torch's.

    Args:
      scheduler: from `config.schedulers`.
      alpha: α, the optimizer's learning rate; of OneCycleLR, its max_lr.

    >>> from jaxopt_notes.config.schedulers import read
    >>> rate = torch_schedule(read("StepLR(step_size=2, gamma=0.5)"), 1.0)
    >>> [float(rate(k)) for k in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    kind, of = scheduler
    if kind == "StepLR":
        return lambda k: alpha * of["gamma"] ** (k // of["step_size"])
    if kind == "MultiStepLR":
        milestones = jnp.array(of["milestones"])
        return lambda k: alpha * of["gamma"] ** (k >= milestones).sum()
    if kind == "ExponentialLR":
        return lambda k: alpha * of["gamma"] ** k
    if kind == "CosineAnnealingLR":
        low, period = of["eta_min"], of["T_max"]
        return lambda k: low + (alpha - low) * (1 + jnp.cos(jnp.pi * (k / period))) / 2
    if kind == "LinearLR":
        return optax.linear_schedule(
            alpha * of["start_factor"], alpha * of["end_factor"], of["total_iters"]
        )
    if kind == "OneCycleLR":
        return _one_cycle(of, alpha)
    parts = [torch_schedule(each, alpha) for each in of["schedulers"]]
    return optax.join_schedules(parts, of["milestones"])


def _one_cycle(of: Mapping[str, Any], alpha: float) -> optax.Schedule:
    total, up = of["total_steps"], of["pct_start"] * of["total_steps"]
    first = alpha / of["div_factor"]
    last = first / of["final_div_factor"]
    rates, ends = [first, alpha, last], [0.0, up - 1, total - 1]
    if of["three_phase"]:
        rates, ends = [first, alpha, first, last], [0.0, up - 1, 2 * up - 2, total - 1]

    def share(x: Any) -> Any:
        return (1 - jnp.cos(jnp.pi * x)) / 2 if of["anneal_strategy"] == "cos" else x

    def rate(k: Any) -> Any:
        value = jnp.asarray(rates[-1])
        for i in reversed(range(len(rates) - 1)):
            part = jnp.clip((k - ends[i]) / (ends[i + 1] - ends[i] or 1), 0, 1)
            phase = rates[i] + (rates[i + 1] - rates[i]) * share(part)
            value = jnp.where(k <= ends[i + 1], phase, value)
        return value

    return rate
