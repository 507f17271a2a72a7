"""From a torch or Keras optimizer to the equal transformation.

Neither framework is imported: param groups identify a torch optimizer, and its config identifies a
Keras optimizer. An optimizer or setting without an equivalent here raises an error that names it.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import optax

from jaxopt_notes.conventions.arrangement import Arrangement, labelling
from jaxopt_notes.conventions.keras_translation import is_keras_optimizer, translate_keras
from jaxopt_notes.conventions.origin import remembering
from jaxopt_notes.conventions.terms import frozen, pass_over
from jaxopt_notes.conventions.torch_groups import KINDS, Rates
from jaxopt_notes.conventions.torch_parameters import (
    Names,
    Parameter,
    check_named,
    holds_param_groups,
    is_torch_optimizer,
    parameters_of,
    parts_of,
    shapes_of,
)
from jaxopt_notes.conventions.torch_schedulers import stepped
from jaxopt_notes.errors import InputError


def translate(
    optimizer: Any,
    scheduler: Any = None,
    *,
    lr: Rates | None = None,
    arrange: Arrangement | None = None,
    names: Names = None,
    scheduler_every: int = 1,
    scheduler_ahead: int = 0,
    total_steps: int | None = None,
) -> optax.GradientTransformation:
    """The transformation with the trajectory of a torch or Keras optimizer.

    Args:
      optimizer: a torch optimizer (SGD, Adagrad, RMSprop, Adam, AdamW) or its `state_dict()`; a
        Keras optimizer (the same five), its `get_config()` or its serialized form.
      scheduler: the torch scheduler that drives the optimizer, or its `state_dict()`: each param
        group gets its learning rate as a function of the steps taken, torch's steps included, and
        its momentum or β1 where OneCycleLR or CyclicLR sets it. Supported are all of torch's
        schedulers except ReduceLROnPlateau, but no class of your own. A `state_dict` does not hold
        the functions of LambdaLR, MultiplicativeLR and CyclicLR.
      lr: a learning rate that replaces the optimizer's: a number, a schedule of the steps taken, or
        a list with one for each torch param group. Needed if the learning rate is driven by
        something other than the `scheduler` argument or one of Keras' six schedules.
      arrange: where each of the other framework's parameters belongs in JAX's tree, as a tree of
        their names, or a function from {name: value} to the tree. By default the tree is a flat
        dict of the names, or a list in the framework's order. Used only if parameters differ in
        settings or step counts.
      names: names for torch's parameters: the module, its `named_parameters()`, or a list in the
        optimizer's order (with several param groups, a list for each). The default is the
        optimizer's own names, or 0, 1, 2, … without them. Paths name Keras' variables; an optimizer
        that is not built yet needs the model here for `exclude_from_weight_decay`.
      scheduler_every: how many optimizer steps make one scheduler step: for a scheduler that steps
        once per epoch, the number of batches in an epoch.
      scheduler_ahead: how many optimizer steps the scheduler is ahead: 3 if GradScaler has skipped
        three optimizer steps, −1000 if the scheduler was created after 1000 steps.
      total_steps: the number of steps of the whole run, torch's steps included. Needed for
        LambdaLR, MultiplicativeLR, ChainedScheduler, CyclicLR and CosineAnnealingWarmRestarts with
        T_mult > 1; after that many steps the learning rate is NaN, as after OneCycleLR's last.

    Returns:
      A transformation of `jaxopt_notes.conventions`. If param groups differ, or parameters have
      taken different numbers of steps, it is an `optax.partition` with one part for each. A Keras
      optimizer's gradient clipping comes before it.

      A parameter whose gradient is None is skipped, as in torch and Keras: its value and its
      moments stay (and in torch its count, if no parameter with the same count has a gradient). A
      gradient of zeros counts as a gradient, so weight decay still moves the parameter. Torch
      parameters with `requires_grad=False` never change, whatever their gradient. To train them
      again, set it to True and translate again; the state remains valid. A `state_dict` does not
      show which parameters are frozen.

      The transformation remembers its param groups, for `transfer.to_torch_optimizer`.

    Raises:
      InputError: the optimizer, the scheduler or one of their settings has no equivalent here; the
        optimizer does not have the values that the scheduler set; `lr` or `names` is ambiguous. A
        change that leaves no trace in the optimizer (`ReduceLROnPlateau`, a hook) cannot be
        detected.

    >>> from jaxopt_notes.conventions import translate
    >>> config = {"learning_rate": 1.0, "momentum": 0.5, "nesterov": True, "weight_decay": None}
    >>> optimizer = translate(config)
    >>> print(optimizer.update(2.0, optimizer.init(0.0))[0])
    -3.0
    """
    mapping = isinstance(optimizer, Mapping)
    if holds_param_groups(optimizer) if mapping else is_torch_optimizer(optimizer):
        run = stepped(scheduler, optimizer, scheduler_every, scheduler_ahead, total_steps)
        parameters = parameters_of(optimizer, lr, names, run)
        return translate_parameters(optimizer, parameters, arrange)
    if scheduler is not None:
        raise InputError("scheduler belongs to a torch optimizer: for others pass lr=, a schedule")
    if mapping or is_keras_optimizer(optimizer):
        return translate_keras(optimizer, lr, arrange, names)
    raise InputError(
        f"{type(optimizer).__module__}.{type(optimizer).__name__} has no equivalent here; known "
        f"are torch's and Keras' {', '.join(KINDS)}"
    )


def translate_parameters(
    source: Any, parameters: Sequence[Parameter], arrange: Arrangement | None
) -> optax.GradientTransformation:
    """The transformation for parameters that were read from a torch optimizer."""
    parts, part_of = parts_of(parameters)
    optimizers = [
        pass_over(p.settings.optimizer(), counts=p.settings.counts, scheduled=p.settings.scheduled)
        for p in parts
    ]
    still = {p.name: int(p.frozen) for p in parameters}
    if arrange is None and (len(parts) > 1 or any(still.values())):
        check_named(source, parameters)

    def numbered(numbers: Mapping[Hashable, int]) -> Callable[[Any], Any]:
        shapes = shapes_of(parameters) if callable(arrange) else None
        return labelling(arrange, numbers, shapes)

    if len(parts) == 1:
        (optimizer,) = optimizers
    else:
        optimizer = optax.partition(dict(enumerate(optimizers)), numbered(part_of))
    if any(still.values()):
        optimizer = frozen(optimizer, numbered(still))
    return remembering(optimizer, source, parameters, parts, part_of, arrange)
