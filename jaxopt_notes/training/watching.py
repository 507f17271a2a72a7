"""What `--watch` adds to a training: readings in the optimizer's state and in each row.

A watched optimizer's state is a `WatchState` that holds the optimizer's own state and the readings.
Checkpoints keep the two apart, so that a resumed run may begin or stop watching.
"""

import math
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import jax
import numpy as np

from jaxopt_notes.microscope.watching import WatchState, readings


def root_of_eps(make: Callable[..., Any], arguments: Mapping[str, Any]) -> float:
    """The √ν at which an optimizer's ε has the same weight as √ν; 0 for an optimizer without ε.

    Args:
      make: the function that makes the optimizer; its defaults apply.
      arguments: its hyperparameters.

    >>> from jaxopt_notes import adam, rmsprop
    >>> root_of_eps(adam, {}), root_of_eps(adam, {"eps": 1e-4})
    (1e-08, 0.0001)
    >>> root_of_eps(rmsprop, {"eps_in_sqrt": True})
    0.0001
    """
    values = {name: p.default for name, p in signature(make).parameters.items()} | dict(arguments)
    eps, inside = values.get("eps", 0.0), values.get("eps_root", 0.0)
    if values.get("eps_in_sqrt"):
        eps, inside = 0.0, eps
    return max(eps, math.sqrt(inside))


def reader(jit: Callable[..., Any]) -> Callable[[Any], dict[str, Any]]:
    """`read(opt_state)`: the readings as a part of an epoch's row; empty if nothing is watched.

    Args:
      jit: the layout's `jit`, so that every process gets the readings.
    """
    compiled = jit(readings)

    def read(opt_state: Any) -> dict[str, Any]:
        if not isinstance(opt_state, WatchState):
            return {}
        values = jax.device_get(compiled(opt_state))
        # Without the step, which the row has; with six digits, because a row has many readings.
        return {"watch": {name: _number(x) for name, x in values.items() if name != "step"}}

    return read


def _number(x: Any) -> float | None:
    number = float(x)
    return float(f"{number:.6g}") if math.isfinite(number) else None


def own_state(opt_state: Any) -> Any:
    """The optimizer's own state, without readings."""
    return opt_state.inner if isinstance(opt_state, WatchState) else opt_state


def with_own_state(opt_state: Any, own: Any) -> Any:
    """The state with its readings, if it has any, and another state of the optimizer in it."""
    return opt_state._replace(inner=own) if isinstance(opt_state, WatchState) else own


def to_json(opt_state: Any) -> dict[str, Any]:
    """The exact readings of a watched optimizer; empty if nothing is watched."""
    if not isinstance(opt_state, WatchState):
        return {}
    readings = jax.device_get(_readings(opt_state))
    return jax.tree.map(lambda x: x.tolist(), readings)


def from_json(readings: Mapping[str, Any], opt_state: Any, put: Callable[..., Any]) -> Any:
    """The state with the readings that `to_json` returned; unchanged if it is not watched.

    Args:
      readings: from `to_json`.
      opt_state: a state of the same structure.
      put: lays out an array by a sharding.
    """
    if not isinstance(opt_state, WatchState):
        return opt_state
    like = _readings(opt_state)
    read = jax.tree.map(lambda x, y: put(np.asarray(y, x.dtype), x.sharding), like, dict(readings))
    return opt_state._replace(**read)


def _readings(opt_state: WatchState) -> dict[str, Any]:
    return {name: x for name, x in opt_state._asdict().items() if name != "inner"}
