"""From another framework's state to an optax state, to move a run to JAX in mid-training.

`keras_state` has the names for Keras. The names for torch:

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

from jaxopt_notes.conventions.accumulators import filled, fitted
from jaxopt_notes.conventions.arrangement import Arrangement, arrange_by, own_names
from jaxopt_notes.conventions.keras_state import translate_keras_state
from jaxopt_notes.conventions.keras_translation import is_keras_optimizer
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
    variables: Any = None,
) -> Any:
    """The state of `translate(state_dict, …)` after the steps that torch or Keras has taken.

    Args:
      state_dict: a torch optimizer's `state_dict()`, or the optimizer; a Keras optimizer, or its
        config in either form.
      params: the parameters in JAX, with the other framework's current values. For Keras, the
        trainable variables.
      scheduler: as passed to `translate`.
      lr: as passed to `translate`.
      arrange: where each of the other framework's parameters belongs in `params`: a tree of their
        names, or a function from {name: value} to the tree. By default `params` is a flat dict of
        the names, or a list in the framework's order.
      names: as passed to `translate`. The module's names are matched with the optimizer's
        parameters. A `state_dict` has no parameters, so with several param groups pass the
        optimizer. With a Keras config, pass the model or the list of its trainable variables' names
        (default: 0, 1, …).
      steps: how many steps torch has taken; needed only for SGD with a schedule, because SGD does
        not count them. Not needed if the scheduler steps after each step of SGD, because then the
        scheduler has counted them.
      scheduler_every: as passed to `translate`.
      scheduler_ahead: as passed to `translate`.
      total_steps: as passed to `translate`.
      variables: with a Keras config, the optimizer's saved variables, in order, or a mapping from
        "0", "1", …, such as `h5py.File("model.weights.h5")["optimizer/vars"]`.

    Returns:
      The state, with the other framework's values and dtypes. A parameter without a gradient so far
      has its initial moments. Each part of the partition has its own count, and a schedule counts
      all steps.

    Raises:
      InputError: the state has no equivalent here, or does not fit `params`.

    >>> import numpy as np
    >>> from jaxopt_notes.conventions import translate_state
    >>> config = {"learning_rate": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": None}
    >>> saved = [np.int32(3), np.float32(0.1), np.array([-0.5], np.float32)]  # after three steps
    >>> state = translate_state(config, [np.ones(1, np.float32)], variables=saved)
    >>> print(jax.tree.leaves(state))
    [Array([-0.5], dtype=float32)]
    """
    mapping = isinstance(state_dict, Mapping)
    if not (holds_param_groups(state_dict) if mapping else is_torch_optimizer(state_dict)):
        if mapping and variables is None and not {"class_name", "learning_rate"} & set(state_dict):
            raise InputError(
                f"a torch optimizer's state_dict has param_groups; this has {', '.join(state_dict)}"
            )
        if not (mapping or is_keras_optimizer(state_dict)):
            raise InputError(
                f"{type(state_dict).__name__} is not a torch or Keras optimizer with an "
                "equivalent here"
            )
        if scheduler is not None:
            raise InputError("scheduler belongs to a torch optimizer; Keras has its own schedules")
        return translate_keras_state(
            *(state_dict, params, variables), lr=lr, arrange=arrange, names=names, steps=steps
        )
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
        shapes_of(parameters)  # an arrangement function needs all shapes
        like = {p.name: as_array(p.value) for p in parameters}
    else:
        like = dict(zip(jax.tree.leaves(arrange), map(np.asarray, jax.tree.leaves(params))))
    tree = arrange_by(arrange, {p.name: _value(slot, p, like.get(p.name)) for p in parameters})
    return fitted(slot, tree, params)


def _value(slot: str, parameter: Parameter, like: np.ndarray | None) -> np.ndarray:
    """torch's accumulator, or its initial value."""
    if slot in parameter.state:
        return as_array(parameter.state[slot])
    initial = parameter.settings.arguments.get("initial_accumulator_value", 0.0)
    return np.full_like(0.0 if like is None else like, initial if slot == "sum" else 0.0)


def as_array(tensor: Any) -> np.ndarray:
    """A tensor as an array of the same dtype, bfloat16 included."""
    if hasattr(tensor, "full_tensor"):  # torch's DTensor, which is spread over processes
        tensor = tensor.full_tensor()
    tensor = tensor.detach().cpu()
    half = str(tensor.dtype) == "torch.bfloat16"  # NumPy has it only through JAX
    array: np.ndarray = tensor.float().numpy().astype(jnp.bfloat16) if half else tensor.numpy()
    return array


def _steps(parameters: Sequence[Parameter], steps: int | None, run: Stepped | None) -> int:
    """The optimizer's steps: those of its parameters with the most steps."""
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
    # Otherwise only dampening needs the count, to know whether this is the first step.
    return max(p.steps for p in parameters) if steps is None else int(steps)


def _filled(state: Any, fields: Mapping[str, Any], part: Part, taken: int) -> Any:
    """The state of one part with all occurrences of the named fields and the counts replaced."""
    own = taken if part.steps is None else part.steps

    def count(node: Any) -> int:
        schedule = part.settings.scheduled and isinstance(node, optax.ScaleByScheduleState)
        return taken if schedule else own

    return filled(state, fields, count)
