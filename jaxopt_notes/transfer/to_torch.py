"""Back to torch: the same optimizer there, with hyperparameters, param groups, state and schedule.

    optimizer, scheduler = to_torch_optimizer(transformation, state, params, module)

The weights go by themselves, by `models.to_torch` or with `load_weights=True`. `to_torch_state`
makes a `state_dict` without torch.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.conventions.arrangement import Arrangement
from jaxopt_notes.conventions.torch_parameters import Names, pairs_and_names
from jaxopt_notes.conventions.torch_state import as_array
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require
from jaxopt_notes.transfer.param_groups import (
    ParamGroup,
    group_settings,
    param_groups,
    state_dict,
)
from jaxopt_notes.transfer.recognition import recognize
from jaxopt_notes.transfer.torch_layout import Groups, layout


def to_torch_state(
    optimizer: Any,
    state: Any,
    params: Any,
    *,
    names: Names = None,
    groups: Groups | None = None,
    arrange: Arrangement | None = None,
    lr: float | None = None,
    steps: int | None = None,
    **implementation: bool | None,
) -> dict[str, Any]:
    """The `state_dict` of the torch optimizer that goes on where this one is.

    Torch is not needed: tensors are NumPy arrays here. `as_tensors` makes them tensors, for
    `torch.save` or the `load_state_dict` of an optimizer over the parameters in the order of
    `names`.

    Args:
      optimizer: a transformation; or what makes it, `partial(optax.adamw, 1e-3)` or
        `(optax.adamw, {"learning_rate": 1e-3})`.
      state: its state.
      params: the parameters in JAX.
      names: torch's parameters in the order of its optimizer: the module, its
        `named_parameters()`, {name: array}, or a list of names. Not needed if `params` is a list
        in that order.
      groups: the names in each of torch's param groups. As a default there is one group for each
        setting, in the order of `names`.
      arrange: where each of torch's parameters belongs in `params`, as in `translate`: a tree of
        their names, or a function from {name: value} to the tree. As a default `params` is a flat
        dict of the names, or a list. A function needs the shapes: `names` with the parameters.
      lr: the learning rate to write in place of a schedule.
      steps: how many steps were taken. Needed only where the state does not count them, and torch
        does: AdaGrad and RMSProp, whose steps do not depend on it.
      **implementation: foreach, fused, capturable, differentiable, as in torch.

    Returns:
      {"state": {index: {slot: array}}, "param_groups": [{setting: value, "params": [index]}]}, with
      all keys of torch's own. A parameter that the optimizer does not step is left out.

    Raises:
      InputError: torch has no such optimizer; it cannot keep this state; a schedule, which a file
        cannot hold; the order, the shapes or the arrangement of torch's parameters do not fit.

    >>> from functools import partial
    >>> from jaxopt_notes import conventions
    >>> factory = partial(conventions.torch.adam, lr=0.1)
    >>> params = {"weight": jnp.ones(2), "bias": jnp.zeros(1)}
    >>> optimizer, names = factory(), ["weight", "bias"]
    >>> _, state = optimizer.update(params, optimizer.init(params), params)
    >>> there = to_torch_state(factory, state, params, names=names)
    >>> there["param_groups"][0]["betas"], there["param_groups"][0]["params"]
    ((0.9, 0.999), [0, 1])
    >>> print(there["state"][0]["step"], there["state"][0]["exp_avg"])
    1.0 [0.1 0.1]
    """
    where = layout(params, names, groups, arrange)
    recognized = recognize(optimizer, state, params, "torch")
    parts = param_groups(recognized, params, where, groups, steps)
    scheduled = any(part.settings.scheduled for part in parts)
    if scheduled and lr is None:
        raise InputError(
            "the learning rate is a function of the steps, which no state_dict can hold: pass lr=, "
            "the number to write, and make the scheduler in torch; or use to_torch_optimizer, "
            "which makes a LambdaLR of it"
        )
    if lr is not None:
        if not scheduled:
            raise InputError(f"lr={lr}: the optimizer's learning rate is a number; leave lr out")
        parts = [part.with_rate(lr) if part.settings.scheduled else part for part in parts]
    return state_dict(parts, implementation)


def to_torch_optimizer(
    optimizer: Any,
    state: Any,
    params: Any,
    module: Any,
    *,
    groups: Groups | None = None,
    arrange: Arrangement | None = None,
    load_weights: bool = False,
    steps: int | None = None,
    **implementation: bool | None,
) -> tuple[Any, Any]:
    """The torch optimizer that goes on where this one is, and its scheduler.

    The module must have the values of `params` already, as torch's steps start from them:
    `models.to_torch` and `load_state_dict` bring them, batch normalisation's statistics too, or
    `load_weights=True`. A module with other values is refused.

    A schedule becomes a `LambdaLR` that stands at the same step: call `scheduler.step()` after each
    `optimizer.step()`. Its base learning rate ("initial_lr") is 1, so that it sets the schedule's
    values exactly; delete "initial_lr" from the param groups before you make another scheduler.

    Args:
      optimizer: as in `to_torch_state`.
      state: its state.
      params: the parameters in JAX.
      module: the module, its `named_parameters()`, or {name: parameter}.
      groups: as in `to_torch_state`.
      arrange: as in `to_torch_state`.
      load_weights: copy the values of `params` into the module's parameters.
      steps: as in `to_torch_state`.
      **implementation: as in `to_torch_state`.

    Returns:
      (optimizer, scheduler): one of `torch.optim`, over the parameters that are stepped here, with
      its state on their devices; and a `LambdaLR`, or None for a constant learning rate.

    Raises:
      InputError: as in `to_torch_state`; or the module's parameters have other values, shapes or
        dtypes than `params`, or other ones are frozen.
      MissingExtraError: torch is not installed.
    """
    require("to_torch_optimizer", "torch", "torch")
    pairs, _ = pairs_and_names(module)
    if not pairs:
        raise InputError(
            f"module {type(module).__name__}: has no parameters; pass the module, its "
            "named_parameters(), or {name: parameter}"
        )
    where = layout(params, pairs, groups, arrange)
    recognized = recognize(optimizer, state, params, "torch")
    parts = param_groups(recognized, params, where, groups, steps)
    tensors = dict(pairs)
    _check_frozen(tensors, parts)
    _match_values(tensors, where.back(params), load_weights)
    return _optimizer(parts, tensors, implementation)


def as_tensors(tree: Any) -> Any:
    """A state_dict with tensors for its arrays: what torch's `load_state_dict` and `save` take.

    Raises:
      MissingExtraError: torch is not installed.
    """
    require("as_tensors", "torch", "torch")
    if isinstance(tree, Mapping):
        return {key: as_tensors(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [as_tensors(value) for value in tree]
    return _tensor(tree) if isinstance(tree, np.ndarray) else tree


def _tensor(array: np.ndarray) -> Any:
    import torch

    if array.dtype == jnp.bfloat16:  # which torch does not take from NumPy
        return torch.tensor(array.view(np.int16)).view(torch.bfloat16)
    return torch.tensor(array)


def _check_frozen(tensors: Mapping[Hashable, Any], parts: list[ParamGroup]) -> None:
    """The same parameters are stepped on both sides."""
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


def _match_values(
    tensors: Mapping[Hashable, Any], values: Mapping[Hashable, np.ndarray], load: bool
) -> None:
    """The module's parameters have the values, or are given them."""
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


def _optimizer(
    parts: list[ParamGroup], tensors: Mapping[Hashable, Any], implementation: Mapping[str, Any]
) -> tuple[Any, Any]:
    import torch

    kind = parts[0].settings.kind
    named = all(isinstance(name, str) for name in tensors)
    groups = []
    for part in parts:
        own = [(name, tensors[name]) if named else tensors[name] for name in part.names]
        groups.append({**group_settings(part, implementation), "params": own})
    made = getattr(torch.optim, kind)(groups, lr=parts[0].rate, **implementation)
    made.load_state_dict(as_tensors(state_dict(parts, implementation)))
    if not any(part.settings.scheduled for part in parts):
        return made, None
    schedules = [_schedule(part) for part in parts]
    for part, group in zip(parts, made.param_groups):
        group["initial_lr"] = 1.0 if part.settings.scheduled else group["lr"]
    taken = max(part.taken for part in parts)
    # A new scheduler takes its first step at once.
    return made, torch.optim.lr_scheduler.LambdaLR(made, schedules, last_epoch=taken - 1)


def _schedule(part: ParamGroup) -> Callable[[int], float]:
    """The factor of the base learning rate after the given number of steps."""
    if not part.settings.scheduled:
        return lambda steps: 1.0
    wide: bool = jax.config.jax_enable_x64  # of now, whatever it is when torch steps

    def rate(steps: int) -> float:
        with jax.enable_x64(wide):
            return part._replace(taken=steps).rate

    return rate
