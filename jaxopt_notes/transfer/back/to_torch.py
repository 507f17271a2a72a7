"""Back to torch: the torch optimizer with hyperparameters, param groups, state and schedule.

    optimizer, scheduler = to_torch_optimizer(transformation, state, params, module)

The weights move separately, by `models.to_torch` or with `load_weights=True`. `to_torch_state`
makes a `state_dict` without torch.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import jax

from jaxopt_notes.conventions.arrangement import Arrangement, own_names
from jaxopt_notes.conventions.origin import origin_of
from jaxopt_notes.conventions.torch_parameters import Names, pairs_and_names
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require
from jaxopt_notes.transfer.back.param_groups import ParamGroup, param_groups, state_dict
from jaxopt_notes.transfer.back.torch_layout import Groups, Layout, layout
from jaxopt_notes.transfer.back.torch_objects import check_frozen, match_values, optimizer_of
from jaxopt_notes.transfer.back.torch_parts import recognized_parts, translated_parts
from jaxopt_notes.transfer.back.torch_schedulers import check_writable, scheduler_state
from jaxopt_notes.transfer.recognition.recognizing import recognize


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
    """The `state_dict` of the torch optimizer that continues from this state.

    Torch is not needed: the result has NumPy arrays in place of tensors. `as_tensors` converts them
    for `torch.save`, or for the `load_state_dict` of an optimizer whose parameters are in the order
    of `names`.

    Args:
      optimizer: a transformation; or its factory with arguments, `partial(optax.adamw, 1e-3)` or
        `(optax.adamw, {"learning_rate": 1e-3})`.
      state: its state.
      params: the parameters in JAX.
      names: torch's parameters in its optimizer's order: the module, its `named_parameters()`,
        {name: array}, or a list of names. Not needed if `params` is a list in that order.
      groups: the names in each of torch's param groups. By default there is one group for each
        setting, in the order of `names`.
      arrange: where each of torch's parameters belongs in `params`, as in `translate`: a tree of
        their names, or a function from {name: value} to the tree. By default `params` is a flat
        dict of the names, or a list. A function needs the shapes, so pass `names` with the
        parameters.
      lr: the learning rate to write in place of a schedule that a file cannot hold.
      steps: how many steps were taken. Needed only if torch counts them and the state does not: for
        AdaGrad and RMSProp, whose updates do not depend on the number (default: 0).
      **implementation: foreach, fused, capturable, differentiable (default: torch's defaults).

    Returns:
      {"state": {index: {slot: array}}, "param_groups": [{setting: value, "params": [index]}]}, with
      all of torch's keys. A parameter that the optimizer does not update is left out.

    Raises:
      InputError: torch has no such optimizer, or cannot keep this state; a file cannot hold the
        schedule; the order, the shapes or the arrangement of torch's parameters do not fit.

    >>> from functools import partial
    >>> import jax.numpy as jnp
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
    parts, _ = _read(optimizer, state, params, names, groups, arrange, steps)
    if lr is None:
        return state_dict(parts, implementation, check_writable(parts))
    if not any(part.scheduled for part in parts):
        raise InputError(f"lr={lr}: the optimizer's learning rate is a number; leave lr out")
    steady = [part.steady(lr) if part.scheduled else part for part in parts]
    return state_dict(steady, implementation, None)


def to_torch_scheduler_state(
    optimizer: Any,
    state: Any,
    params: Any,
    *,
    names: Names = None,
    groups: Groups | None = None,
    arrange: Arrangement | None = None,
) -> dict[str, Any] | None:
    """The `state_dict` of the torch scheduler that drives the optimizer, at the current step.

    Only a scheduler that came through `translate(optimizer, scheduler)` can go back, and only if
    its state describes it completely: OneCycleLR, CosineAnnealingLR, ExponentialLR, StepLR,
    MultiStepLR, LinearLR, ConstantLR, PolynomialLR. `to_torch_state` writes the values that these
    schedulers keep in the param groups.

    Args:
      optimizer: as in `to_torch_state`, like the other arguments.
      state: its state.
      params: the parameters in JAX.
      names: torch's parameters.
      groups: the names in each of torch's param groups.
      arrange: where each of torch's parameters belongs in `params`.

    Returns:
      A dict for torch's `scheduler.load_state_dict`; None for a constant learning rate.

    Raises:
      InputError: a file cannot hold the schedule; or as in `to_torch_state`.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import conventions
    >>> optimizer, params = conventions.torch.sgd(lr=0.1), {"weight": jnp.ones(2)}
    >>> print(to_torch_scheduler_state(optimizer, optimizer.init(params), params, names=["weight"]))
    None
    """
    parts, _ = _read(optimizer, state, params, names, groups, arrange, None)
    schedules = check_writable(parts)
    return None if schedules is None else scheduler_state(parts, schedules)


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
    """Makes the torch optimizer that continues from this state, and its scheduler.

    The module must already have the values of `params`, because torch's steps start from them: copy
    them with `models.to_torch` or `transfer.to_torch_weights` and `load_state_dict`, or pass
    `load_weights=True`. `load_weights=True` does not change batch normalisation's running averages,
    because they are not parameters. A module with other values raises an error.

    A scheduler that came through `translate(optimizer, scheduler)` is restored if its state
    describes it completely (see `to_torch_scheduler_state`). Any other schedule becomes a
    `LambdaLR` at the current step: call `scheduler.step()` after each `optimizer.step()`. The
    LambdaLR's base learning rate ("initial_lr") is 1, so it sets the schedule's values exactly.
    Delete "initial_lr" from the param groups before you make another scheduler.

    Args:
      optimizer: as in `to_torch_state`.
      state: its state.
      params: the parameters in JAX.
      module: the module, its `named_parameters()`, or {name: parameter}.
      groups: as in `to_torch_state`.
      arrange: as in `to_torch_state`.
      load_weights: copy the values of `params` into the module's parameters, but not into its
        buffers.
      steps: as in `to_torch_state`.
      **implementation: as in `to_torch_state`.

    Returns:
      (optimizer, scheduler): an optimizer of `torch.optim` for the parameters that are updated
      here, with its state on their devices; and the scheduler, or None for a constant learning
      rate.

    Raises:
      InputError: as in `to_torch_state`; or the module's parameters differ from `params` in values,
        shapes or dtypes, or in which are frozen.
      MissingExtraError: torch is not installed.

    >>> import optax, torch  # doctest: +SKIP
    >>> import jax.numpy as jnp
    >>> module = torch.nn.Linear(2, 1)  # doctest: +SKIP
    >>> params = {"weight": jnp.ones((1, 2)), "bias": jnp.zeros(1)}
    >>> optimizer = optax.adamw(0.1)  # doctest: +SKIP
    >>> state = optimizer.init(params)  # doctest: +SKIP
    >>> there, scheduler = to_torch_optimizer(
    ...     optimizer, state, params, module, load_weights=True
    ... )  # doctest: +SKIP
    >>> type(there).__name__, there.param_groups[0]["lr"], scheduler  # doctest: +SKIP
    ('AdamW', 0.1, None)
    """
    require("to_torch_optimizer", "torch", "torch")
    pairs, _ = pairs_and_names(module)
    if not pairs:
        raise InputError(
            f"module {type(module).__name__}: has no parameters; pass the module, its "
            "named_parameters(), or {name: parameter}"
        )
    own = _without_strangers(pairs, optimizer, params, arrange)
    parts, where = _read(optimizer, state, params, own, groups, arrange, steps)
    tensors = dict(own)
    check_frozen(tensors, parts)
    match_values(tensors, where.back(params), load_weights)
    return optimizer_of(parts, tensors, implementation)


def _read(
    optimizer: Any,
    state: Any,
    params: Any,
    names: Names,
    groups: Groups | None,
    arrange: Arrangement | None,
    steps: int | None,
) -> tuple[list[ParamGroup], Layout]:
    """Torch's param groups, and the places of its parameters in the tree."""
    origin = origin_of(optimizer)
    if origin is None:
        where = layout(params, names, groups, arrange)
        parts = recognized_parts(recognize(optimizer, state, params, "torch"), params, where.back)
        return param_groups(parts, where.names, groups, frozenset(), steps), where
    names = origin.names if names is None else names
    where = layout(params, names, groups, origin.arrange if arrange is None else arrange)
    origin = origin.renamed(where.names)
    parts = translated_parts(origin, state, params, where.back)
    groups = origin.groups if groups is None else groups
    return param_groups(parts, where.names, groups, origin.frozen, steps), where


def _without_strangers(
    pairs: Sequence[tuple[Hashable, Any]], optimizer: Any, params: Any, arrange: Arrangement | None
) -> Sequence[tuple[Hashable, Any]]:
    """The module's parameters, except frozen ones without a place in `params`."""
    origin = origin_of(optimizer)
    if origin is not None:
        known = set(origin.names)
    elif callable(arrange):
        return pairs
    else:
        known = set(jax.tree.leaves(own_names(params) if arrange is None else arrange))
    if not known <= {name for name, _ in pairs}:
        return pairs
    return [(name, p) for name, p in pairs if name in known or p.requires_grad]
