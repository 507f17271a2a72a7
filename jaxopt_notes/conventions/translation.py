"""From a torch or Keras optimizer to the equal transformation.

Neither framework is imported: a torch optimizer is known by its param groups, a Keras one by its
config. What has no equivalent here is refused by name.
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
        its momentum or β1 where OneCycleLR or CyclicLR sets that. All of torch's but
        ReduceLROnPlateau; a class of your own has no equivalent here. A `state_dict` does not hold
        the functions of LambdaLR, MultiplicativeLR and CyclicLR.
      lr: a learning rate in place of the optimizer's, a number or a schedule of the steps taken; a
        list of them, one for each of torch's param groups, where those have their own. Needed where
        something drives the learning rate that is neither passed as `scheduler` nor one of Keras'
        own six schedules.
      arrange: where each of the other framework's parameters belongs in JAX's tree, as a tree of
        their names, or a function from {name: value} to the tree. As a default the tree is a flat
        dict of the names, or a list in the framework's order. Used only if not all parameters are
        stepped alike.
      names: how to call torch's parameters: the module, its `named_parameters()`, or a list in the
        optimizer's order (with several param groups, a list for each). As a default the names that
        the optimizer has, else 0, 1, 2, …. Keras' variables go by their paths; an optimizer that
        is not built yet needs the model here for `exclude_from_weight_decay`.
      scheduler_every: after how many steps of the optimizer the scheduler takes one: the number of
        batches in an epoch, where the scheduler is stepped once an epoch.
      scheduler_ahead: how many of the optimizer's steps the scheduler is ahead: 3 if GradScaler has
        skipped three steps of the optimizer, −1000 if the scheduler was made after 1000 steps.
      total_steps: the number of steps of the whole run, those in torch included. Needed for
        LambdaLR, MultiplicativeLR, ChainedScheduler, CyclicLR and CosineAnnealingWarmRestarts with
        T_mult > 1; after that many steps the learning rate is NaN, as after OneCycleLR's last.

    Returns:
      A transformation of `jaxopt_notes.conventions`. Where param groups differ, or parameters have
      taken different numbers of steps, it is an `optax.partition`, in which each has its own. The
      gradient clipping of a Keras optimizer comes before it.

      A parameter whose gradient is None is passed over, as in torch and Keras: it stays, and its
      moments too (and in torch its count, if no parameter of the same count has a gradient). A
      gradient of zeros is a gradient, by which weight decay moves a parameter. A torch optimizer's
      parameters
      with `requires_grad=False` stay whatever their gradient is; to go on with them, set it to
      True and translate again: the state remains. A `state_dict` does not tell what is frozen.

      The transformation remembers its param groups, for `transfer.to_torch_optimizer`.

    Raises:
      InputError: the optimizer, the scheduler or one of their settings has no equivalent here; the
        optimizer is not where the scheduler has brought it; `lr` or `names` is ambiguous. A
        change that leaves no trace in the optimizer (`ReduceLROnPlateau`, a hook) cannot be seen.

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
        "are "
        f"torch's and Keras' {', '.join(KINDS)}"
    )


def translate_parameters(
    source: Any, parameters: Sequence[Parameter], arrange: Arrangement | None
) -> optax.GradientTransformation:
    """The transformation of the parameters that were read off a torch optimizer."""
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
