"""torch's schedulers in a checkpoint: which one its state is of, and what `train` calls it.

A state_dict does not name its class; the settings in it do. What a function of the user's decides
(LambdaLR) or the losses (ReduceLROnPlateau), no state says.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxopt_notes.config.schedulers import NAMES, Scheduler, make
from jaxopt_notes.errors import InputError, first_line

_REMEDY = (
    "leave it out of the checkpoint and pass --schedule and --learning-rate, or go on in code, "
    "with jaxopt_notes.conventions.translate"
)
# What each keeps in its state beside what all of them keep
_SETTINGS = {
    "StepLR": ("step_size", "gamma"),
    "MultiStepLR": ("milestones", "gamma"),
    "ExponentialLR": ("gamma",),
    "CosineAnnealingLR": ("T_max", "eta_min"),
    "LinearLR": ("start_factor", "end_factor", "total_iters"),
}
_KEPT_BY_ALL = {"base_lrs", "last_epoch", "verbose"}
_OTHERS = {
    "lr_lambdas": "LambdaLR, whose function no file holds",
    "patience": "ReduceLROnPlateau, which the losses drive",
    "T_0": "CosineAnnealingWarmRestarts",
    "power": "PolynomialLR",
    "factor": "ConstantLR",
    "base_momentums": "CyclicLR",
}


class Course(NamedTuple):
    """How a learning rate goes on.

    Attributes:
      scheduler: what drives it.
      learning_rate: as `train` counts it: the optimizer's own, of OneCycleLR the highest.
      taken: how often the scheduler has stepped.
    """

    scheduler: Scheduler
    learning_rate: float
    taken: int


def course_of(state: Mapping[str, Any], group: Mapping[str, Any]) -> Course:
    """The course of a scheduler's state_dict.

    Args:
      state: the scheduler's.
      group: the optimizer's param group, where OneCycleLR keeps its learning rates.

    Raises:
      InputError: `train` has no such scheduler; the line says which it is.
    """
    try:
        taken = state["last_epoch"]
        if "_schedule_phases" in state:
            return Course(_one_cycle(state, group), float(group["max_lr"]), int(taken))
        scheduler = _scheduler(state)
        first = state["_schedulers"][0] if "_schedulers" in state else state
        return Course(scheduler, float(first["base_lrs"][0]), int(taken))
    except InputError:
        raise
    # A file may hold anything in the place of the state.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"the scheduler's state is not what torch's state_dict() gives ({first_line(error)}); "
            f"{_REMEDY}"
        ) from error


def _scheduler(state: Mapping[str, Any]) -> Scheduler:
    if "_schedulers" in state and "_milestones" in state:
        parts = tuple(map(_scheduler, state["_schedulers"]))
        return _made("SequentialLR", schedulers=parts, milestones=tuple(state["_milestones"]))
    own = {key for key in state if not key.startswith("_")} - _KEPT_BY_ALL
    for kind, names in _SETTINGS.items():
        if own == set(names):
            return _made(kind, **{name: _plain(state[name]) for name in names})
    other = next((what for key, what in _OTHERS.items() if key in state), "none that train has")
    raise InputError(f"the scheduler is {other}; train has torch's {', '.join(NAMES)}: {_REMEDY}")


def _made(kind: str, **arguments: Any) -> Scheduler:
    try:
        return make(kind, **arguments)
    except InputError as error:
        raise InputError(f"the scheduler's state: {error}") from None


def _plain(value: Any) -> Any:
    """A setting as it stands in a call; MultiStepLR counts its milestones."""
    if isinstance(value, Mapping):
        return tuple(sorted(k for k, times in value.items() for _ in range(times)))
    return value


def _one_cycle(state: Mapping[str, Any], group: Mapping[str, Any]) -> Scheduler:
    if state.get("cycle_momentum"):
        raise InputError(
            "the scheduler is OneCycleLR with cycle_momentum=True, and train keeps the momentum: "
            "go on in code, with jaxopt_notes.conventions.translate(optimizer, scheduler)"
        )
    total, phases = state["total_steps"], state["_schedule_phases"]
    rates = [float(group[name]) for name in ("initial_lr", "max_lr", "min_lr")]
    low, high, last = rates
    return _made(
        "OneCycleLR",
        total_steps=total,
        pct_start=_rounded((phases[0]["end_step"] + 1) / total),
        anneal_strategy=_strategy(state),
        div_factor=_rounded(high / low),
        final_div_factor=_rounded(low / last),
        three_phase=len(phases) == 3,
    )


def _strategy(state: Mapping[str, Any]) -> str:
    return str(state.get("_anneal_func_type") or state.get("anneal_func"))


def _rounded(x: float) -> float:
    """A ratio without the noise of its last digits: 25.0 for 24.999999999999996."""
    return float(f"{x:.14g}")
