"""From a torch optimizer's state to ours: a run moves from torch to JAX in mid-training.

torch                                   here
exp_avg, grad_avg                       mu
exp_avg_sq, square_avg                  nu
max_exp_avg_sq                          nu_max
sum                                     sum_of_squares
momentum_buffer                         trace
step                                    count
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes.conventions.arrangement import Arrangement, arrange_by, own_names
from jaxopt_notes.conventions.torch_groups import Rates
from jaxopt_notes.conventions.torch_parameters import (
    Names,
    Parameter,
    Part,
    check_named,
    counted_steps,
    holds_param_groups,
    is_torch_optimizer,
    parameters_of,
    parts_of,
    shapes_of,
)
from jaxopt_notes.conventions.torch_schedulers import Stepped, stepped
from jaxopt_notes.conventions.translation import translate_parameters
from jaxopt_notes.errors import InputError

SLOTS = {
    "exp_avg": "mu",
    "grad_avg": "mu",
    "exp_avg_sq": "nu",
    "square_avg": "nu",
    "max_exp_avg_sq": "nu_max",
    "sum": "sum_of_squares",
    "momentum_buffer": "trace",
}


def translate_state(
    state_dict: Any,
    params: optax.Params,
    *,
    scheduler: Any = None,
    lr: Rates | None = None,
    arrange: Arrangement | None = None,
    names: Names = None,
    steps: int | None = None,
    scheduler_every: int = 1,
    scheduler_ahead: int = 0,
    total_steps: int | None = None,
) -> Any:
    """The state of `translate(state_dict, …)` after the steps that torch has taken.

    Args:
      state_dict: a torch optimizer's `state_dict()`, or the optimizer.
      params: the parameters in JAX, as torch left them.
      scheduler: as passed to `translate`.
      lr: as passed to `translate`.
      arrange: where each of torch's parameters belongs in `params`: a tree of their names, or a
        function from {name: value} to the tree. As a default `params` is a flat dict of torch's
        names, or a list in torch's order.
      names: as passed to `translate`. The module's names are matched with the optimizer's
        parameters; a `state_dict` has none, so with several param groups pass the optimizer.
      steps: how many steps torch has taken; needed only for SGD with a schedule, as SGD does not
        count them. A scheduler that is stepped after each step of SGD has counted them.
      scheduler_every: as passed to `translate`.
      scheduler_ahead: as passed to `translate`.
      total_steps: as passed to `translate`.

    Returns:
      The state, with the values and dtypes of torch's. A parameter that had no gradient yet has the
      moments it would begin with; each part of the partition has its own count, and a schedule
      counts all steps.

    Raises:
      InputError: the state has no equal here, or does not fit `params`.
    """
    if isinstance(state_dict, Mapping):
        if not holds_param_groups(state_dict):
            raise InputError(
                f"a torch optimizer's state_dict has param_groups; this has {', '.join(state_dict)}"
            )
    elif not is_torch_optimizer(state_dict):
        raise InputError(f"{type(state_dict).__name__} is no torch optimizer with an equal here")
    run = stepped(scheduler, state_dict, scheduler_every, scheduler_ahead, total_steps)
    parameters = parameters_of(state_dict, lr, names, run)
    if arrange is None:
        check_named(state_dict, parameters)
        arrange = own_names(params)
    parts, _ = parts_of(parameters)
    empty = translate_parameters(state_dict, parameters, arrange).init(params)

    slots = sorted({slot for p in parameters for slot in p.settings.slots if slot in p.state})
    fields = {SLOTS[slot]: _arranged(slot, parameters, arrange, params) for slot in slots}
    taken = _steps(parameters, steps, run)
    if len(parts) == 1:
        return _filled(empty, fields, parts[0], taken)
    return empty._replace(
        inner_states={
            i: _filled(empty.inner_states[i], fields, part, taken) for i, part in enumerate(parts)
        }
    )


def _arranged(slot: str, parameters: Sequence[Parameter], arrange: Arrangement, params: Any) -> Any:
    """The tree of one accumulator, checked against the parameters."""
    if callable(arrange):
        shapes_of(parameters)  # a function is shown each
        like = {p.name: as_array(p.value) for p in parameters}
    else:
        like = dict(zip(jax.tree.leaves(arrange), map(np.asarray, jax.tree.leaves(params))))
    tree = arrange_by(arrange, {p.name: _value(slot, p, like.get(p.name)) for p in parameters})
    expected: Any = jax.tree.structure(params)
    if jax.tree.structure(tree) != expected:
        raise InputError(f"the arranged {slot} is a tree of another shape than params")
    for (path, x), p in zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(params)):
        if (x.shape, x.dtype) != (jnp.shape(p), jnp.result_type(p)):
            raise InputError(
                f"{slot} at {jax.tree_util.keystr(path)} is {x.dtype}{list(x.shape)}, "
                f"the parameter {jnp.result_type(p)}{list(jnp.shape(p))}"
            )
    # A copy: jnp.asarray may share the memory, in which torch's next step would write.
    return jax.tree.map(jnp.array, tree)


def _value(slot: str, parameter: Parameter, like: np.ndarray | None) -> np.ndarray:
    """torch's accumulator, or what it will begin with."""
    if slot in parameter.state:
        return as_array(parameter.state[slot])
    initial = parameter.settings.arguments.get("initial_accumulator_value", 0.0)
    return np.full_like(0.0 if like is None else like, initial if slot == "sum" else 0.0)


def as_array(tensor: Any) -> np.ndarray:
    """A tensor as an array of the same dtype, bfloat16 too."""
    if hasattr(tensor, "full_tensor"):  # torch's DTensor, which is spread over processes
        tensor = tensor.full_tensor()
    tensor = tensor.detach().cpu()
    half = str(tensor.dtype) == "torch.bfloat16"  # which NumPy has only by way of JAX
    array: np.ndarray = tensor.float().numpy().astype(jnp.bfloat16) if half else tensor.numpy()
    return array


def _steps(parameters: Sequence[Parameter], steps: int | None, run: Stepped | None) -> int:
    """The steps that the optimizer has taken: those of its longest trained parameters."""
    counted = counted_steps(parameters)
    if counted is not None:
        if steps not in (None, counted):
            raise InputError(f"steps={steps}, but the state_dict counts {counted}")
        return counted
    if run is not None:
        steps = run.steps() if steps is None else steps
        run.check_steps(steps)
    if steps is None and any(p.settings.scheduled for p in parameters):
        raise InputError(
            "torch's SGD does not count its steps, which the schedule needs: pass steps="
        )
    # All else that asks is the dampening: is this still the first step?
    return max(p.steps for p in parameters) if steps is None else int(steps)


def _filled(state: Any, fields: Mapping[str, Any], part: Part, taken: int) -> Any:
    """The state of one part with the named fields and the counts replaced wherever they stand."""
    own = taken if part.steps is None else part.steps

    def holds(node: Any) -> bool:
        return any(name in fields or name == "count" for name in getattr(node, "_fields", ()))

    def fill(node: Any) -> Any:
        if not holds(node):
            return node
        new = {
            name: _masked_as(fields[name], getattr(node, name))
            for name in node._fields
            if name in fields
        }
        if "count" in node._fields:
            schedule = part.settings.scheduled and isinstance(node, optax.ScaleByScheduleState)
            new["count"] = jnp.asarray(taken if schedule else own, jnp.int32)
        return node._replace(**new)

    return jax.tree.map(fill, state, is_leaf=holds)


def _masked_as(tree: Any, like: Any) -> Any:
    """The tree with a `MaskedNode` wherever `like` has one."""

    def masked(x: Any) -> bool:
        return isinstance(x, optax.MaskedNode)

    return jax.tree.map(lambda old, x: old if masked(old) else x, like, tree, is_leaf=masked)
