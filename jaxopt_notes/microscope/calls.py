"""Optimizers as calls: `functools.partial(optax.rmsprop, learning_rate=0.01)`."""

import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from jaxopt_notes.errors import InputError
from jaxopt_notes.microscope.steps import steppers
from jaxopt_notes.microscope.steps.steppers import Stepper


def called(optimizer: Any) -> partial[Any] | None:
    """The optimizer's call, with all arguments by name; None if it is not a call.

    >>> import optax
    >>> called(partial(optax.adam, 1e-3)).keywords
    {'learning_rate': 0.001}
    """
    if not isinstance(optimizer, partial):
        return None
    if not optimizer.args:
        return optimizer
    bound = inspect.signature(optimizer.func).bind_partial(*optimizer.args, **optimizer.keywords)
    return partial(optimizer.func, **bound.arguments)


def label(optimizer: Any) -> str:
    """The optimizer's call as code; the type's name if it is not a call.

    >>> import optax
    >>> label(partial(optax.adam, 1e-3, b1=0.8))
    'optax.adam(learning_rate=0.001, b1=0.8)'
    """
    call = called(optimizer)
    if call is None:
        return type(optimizer).__name__
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.keywords.items())
    return f"{_public_name(call.func)}({arguments})"


def _public_name(made: Callable[..., Any]) -> str:
    """The shortest importable name of a function or class: optax.adam, torch.optim.Adam."""
    parts = made.__module__.split(".")
    for i in range(1, len(parts) + 1):
        module = sys.modules.get(".".join(parts[:i]))
        if getattr(module, made.__name__, None) is made:
            return ".".join((*parts[:i], made.__name__))
    return f"{made.__module__}.{made.__qualname__}"


def stepper_of(optimizer: Any) -> Stepper:
    """Makes a stepper from a call, a transformation, or a stepper itself.

    Raises:
      InputError: the argument is none of these, or cannot step with gradients alone.
    """
    if hasattr(optimizer, "start") and hasattr(optimizer, "step"):
        stepper: Stepper = optimizer
        return stepper
    call = called(optimizer)
    if call is not None:
        return steppers.of_call(_public_name(call.func), call.func, call.keywords)
    if hasattr(optimizer, "init") and hasattr(optimizer, "update"):
        return steppers.of_transformation(optimizer)
    raise InputError(
        f"optimizer {type(optimizer).__name__}: is not an optimizer; pass a transformation, a "
        "stepper, or functools.partial(function, …) with its arguments"
    )


def in_jax(optimizer: Any) -> partial[Any] | None:
    """The call of `jaxopt_notes.conventions` that equals a torch or Keras optimizer.

    None if there is no such function, or if it does not take the arguments.
    """
    call = called(optimizer)
    if call is None:
        return None
    from jaxopt_notes import conventions

    framework = call.func.__module__.split(".")[0]
    home = {"torch": conventions.torch, "keras": conventions.keras}.get(framework)
    made = getattr(home, call.func.__name__.lower(), None)
    if made is None or not set(call.keywords) <= set(inspect.signature(made).parameters):
        return None
    return partial(made, **call.keywords)
