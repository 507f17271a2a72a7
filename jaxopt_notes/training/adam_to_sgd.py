"""When adam-to-sgd switches from Adam to SGD: turns options into steps, and reports the switch.

Nothing here changes a step: the report reads the optimizer's state after each epoch.
"""

from collections.abc import Mapping
from typing import Any

from jaxopt_notes.config.settings import Settings
from jaxopt_notes.errors import InputError
from jaxopt_notes.optimizers._adam_to_sgd import found_rate
from jaxopt_notes.optimizers._handover import find_handover
from jaxopt_notes.training.schedules import schedule


def arguments(config: Settings, steps: int) -> dict[str, Any]:
    """The optimizer's arguments other than its learning rate, for a run of `steps` steps.

    Raises:
      InputError: the switch would not lie within the run.
    """
    if config.switch_at is None:
        return config.hyperparameters
    keywords = dict(config.hyperparameters)
    if "sgd_learning_rate" in keywords:
        keywords["sgd_learning_rate"] = _sgd_schedule(config, steps)
    if isinstance(config.switch_at, str):  # auto
        # In a warm-up the learning rates and their differences begin near 0: SWATS, which waits
        # for small differences, would switch at once.
        return keywords | {"earliest_switch": max(2, round(config.warmup * steps))}
    at = round(config.switch_at * steps)
    if not 0 < at < steps:
        raise InputError(
            f"--switch-at {config.switch_at}: is step {at} of a run of {steps}, so Adam or SGD "
            "would never run; pass another share, or more --epochs"
        )
    return keywords | {"switch_step": at}


def describe(config: Settings, steps: int, opt_state: Any) -> dict[str, Any]:
    """The switch as a part of an epoch's row; empty for an optimizer that does not switch.

    `switched_at` is the number of steps before the switch. `sgd_rate` is SGD's learning rate at
    the switch. Both are None before the switch.
    """
    state = find_handover(opt_state)
    if state is None:
        return {}
    at = int(state.switched_at)
    if at < 0:
        return {"switched_at": None, "sgd_rate": None}
    rate = found_rate(opt_state)
    if rate is None:
        rate = float(_sgd_schedule(config, steps)(at))
    return {"switched_at": at, "sgd_rate": rate}


def text(row: Mapping[str, Any]) -> str:
    """Describes the switch in a few words; empty for a run without a switch."""
    if "switched_at" not in row:
        return ""
    if row["switched_at"] is None:
        return "not switched to SGD"
    return f"SGD after step {row['switched_at']:,}, learning rate {row['sgd_rate']:.3g}"


def _sgd_schedule(config: Settings, steps: int) -> Any:
    rate = config.hyperparameters["sgd_learning_rate"]
    return schedule(config.schedule, rate, steps, config.warmup)
