"""Makes torch's objects: tensors, and the optimizer and the scheduler of param groups."""

from collections.abc import Hashable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxopt_notes.conventions.torch_state import as_array
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require
from jaxopt_notes.transfer.back.param_groups import ParamGroup, group_settings, state_dict
from jaxopt_notes.transfer.back.torch_schedulers import (
    lambda_scheduler,
    own_scheduler,
    schedules_of,
)

Tensors = Mapping[Hashable, Any]  # torch's parameters by their names


def as_tensors(tree: Any) -> Any:
    """A state_dict with tensors in place of arrays, for torch's `load_state_dict` and `save`.

    Raises:
      MissingExtraError: torch is not installed.

    >>> as_tensors({"weight": np.ones(2, np.float32)})  # doctest: +SKIP
    {'weight': tensor([1., 1.])}
    """
    require("as_tensors", "torch", "torch")
    if isinstance(tree, Mapping):
        return {key: as_tensors(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [as_tensors(value) for value in tree]
    return _tensor(tree) if isinstance(tree, np.ndarray) else tree


def _tensor(array: np.ndarray) -> Any:
    import torch

    if array.dtype == jnp.bfloat16:  # torch does not take it from NumPy
        return torch.tensor(array.view(np.int16)).view(torch.bfloat16)
    return torch.tensor(array)


def check_frozen(tensors: Tensors, parts: list[ParamGroup]) -> None:
    """Raises InputError unless both sides update the same parameters."""
    for part in parts:
        for name in part.names:
            stepped = name in part.stepped
            if stepped and not tensors[name].requires_grad:
                raise InputError(
                    f"module: {name!r} has requires_grad=False, but the optimizer steps it here; "
                    "set requires_grad_(True)"
                )
            if not stepped and tensors[name].requires_grad:
                raise InputError(
                    f"groups: {name!r} is not stepped here, but torch would step it; set "
                    "requires_grad_(False), or leave it out of groups"
                )


def match_values(tensors: Tensors, values: Mapping[Hashable, np.ndarray], load: bool) -> None:
    """Copies the values into the module's parameters, or checks that the parameters have them.

    Raises:
      InputError: a parameter has another dtype, or another value.
    """
    import torch

    for name, tensor in tensors.items():
        value, dtype = values[name], str(tensor.dtype).removeprefix("torch.")
        if dtype != str(value.dtype):
            raise InputError(
                f"module: {name!r} is {dtype}, but {value.dtype} in params; call "
                f"module.to(torch.{value.dtype}) first, or cast params and the state"
            )
        if not load and not np.array_equal(as_array(tensor), value, equal_nan=True):
            raise InputError(
                f"module: {name!r} has other values than params; load the weights first "
                "(models.to_torch and load_state_dict), or pass load_weights=True"
            )
    if load:
        with torch.no_grad():
            for name, value in values.items():
                tensors[name].copy_(_tensor(value))


def optimizer_of(
    parts: list[ParamGroup], tensors: Tensors, implementation: Mapping[str, Any]
) -> tuple[Any, Any]:
    """The torch optimizer of the param groups, and the scheduler if a schedule drives it."""
    import torch

    kind = parts[0].settings.kind
    named = all(isinstance(name, str) for name in tensors)
    groups = []
    for part in parts:
        own = [(name, tensors[name]) if named else tensors[name] for name in part.names]
        groups.append({**group_settings(part, implementation), "params": own})
    made = getattr(torch.optim, kind)(groups, lr=groups[0]["lr"], **implementation)
    schedules = schedules_of(parts)
    scheduler = own_scheduler(made, parts, schedules) if schedules else None
    made.load_state_dict(as_tensors(state_dict(parts, implementation, schedules)))
    if scheduler is None and any(part.scheduled for part in parts):
        scheduler = lambda_scheduler(made, parts)
    return made, scheduler
