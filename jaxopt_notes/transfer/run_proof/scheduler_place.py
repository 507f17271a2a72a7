"""The position of a torch run's scheduler: how many steps were taken, and how many are left."""

from typing import Any

from jaxopt_notes.errors import InputError


def steps_taken(
    optimizer: Any, scheduler: Any, scheduler_every: int, scheduler_ahead: int, total_steps: Any
) -> int:
    """How many steps torch has taken; read from its scheduler if the optimizer does not count."""
    if scheduler is None:
        if (scheduler_every, scheduler_ahead, total_steps) != (1, 0, None):
            raise InputError(
                "scheduler_every, scheduler_ahead and total_steps belong to a scheduler: pass "
                "scheduler= too"
            )
        return 0
    if not (isinstance(scheduler_every, int) and scheduler_every >= 1):
        raise InputError(f"scheduler_every={scheduler_every!r}: must be a whole number from 1")
    counts = [int(of["step"]) for of in getattr(optimizer, "state", {}).values() if "step" in of]
    return max(counts, default=_position(scheduler) * scheduler_every - scheduler_ahead)


def steps_within(
    steps: int,
    taken: int,
    scheduler: Any,
    scheduler_every: int,
    scheduler_ahead: int,
    total_steps: int | None,
) -> int:
    """The steps left until the scheduler's end, after which torch raises an error."""
    ends = [] if total_steps is None else [total_steps]
    if (total := getattr(scheduler, "total_steps", None)) is not None:
        ends.append(total * scheduler_every - scheduler_ahead)
    if not ends:
        return steps
    left = min(ends) - taken
    if left < 1:
        raise InputError(
            f"scheduler: {type(scheduler).__name__} has taken all of its {min(ends)} steps, so "
            "none is left to compare; pass a run that is not finished"
        )
    return min(steps, left)


def _position(scheduler: Any) -> int:
    """How many steps the scheduler has taken; for a ChainedScheduler its parts know the number."""
    own = getattr(scheduler, "last_epoch", None)
    return int(scheduler._schedulers[0].last_epoch if own is None else own)
