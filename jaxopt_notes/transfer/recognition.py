"""Which of torch's or Keras' optimizers a transformation is."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import optax

from jaxopt_notes import conventions
from jaxopt_notes.errors import InputError

# A transformation, `functools.partial(factory, …)`, or `(factory, keywords)`.
Optimizer = Any
_HOMES = {"torch": conventions.torch, "keras": conventions.keras}


class Group(NamedTuple):
    """The parameters that one optimizer of a framework steps.

    Attributes:
      name: the function of `conventions.torch` or `conventions.keras`: "sgd", "adamw", ….
      keywords: all its arguments, as Python has them; the learning rate is a number or a function
        of the steps taken.
      members: a tree like the parameters: True for those of this group.
      state: what `getattr(conventions.torch, name)(**keywords)` has as its state; `MaskedNode()`
        stands for the parameters of other groups.
    """

    name: str
    keywords: dict[str, Any]
    members: Any
    state: Any


def recognize(optimizer: Optimizer, state: Any, params: Any, framework: str) -> list[Group]:
    """Finds the framework's optimizers that take the same path from here on.

    Args:
      optimizer: a transformation; or what makes it, `partial(optax.adamw, 1e-3)` or
        `(optax.adamw, {"learning_rate": 1e-3})`.
      state: its state.
      params: the parameters.
      framework: "torch" or "keras".

    Returns:
      A group for each optimizer of the framework. A parameter that is in no group stays as it is.

    Raises:
      InputError: the framework has no such optimizer, or the state is of another optimizer.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import conventions
    >>> params = {"w": jnp.ones(3)}
    >>> factory, keywords = conventions.torch.sgd, {"lr": 0.1, "momentum": 0.9}
    >>> state = factory(**keywords).init(params)
    >>> (group,) = recognize((factory, keywords), state, params, "torch")
    >>> group.name, group.keywords["momentum"], group.members
    ('sgd', 0.9, {'w': True})
    """
    if framework not in _HOMES:
        raise InputError(f"framework {framework!r}: is not known; pass 'torch' or 'keras'")
    home = _HOMES[framework]
    factory, keywords = _call(optimizer)
    if factory is None or getattr(home, factory.__name__, None) is not factory:
        raise InputError("only the framework's own optimizers are recognised")
    transformation = factory(**keywords)
    expected = jax.eval_shape(transformation.init, params)
    if jax.tree.structure(state) != jax.tree.structure(expected):
        raise InputError(f"state: is not that of {factory.__name__}; pass the optimizer's own")
    return [Group(factory.__name__, keywords, jax.tree.map(lambda _: True, params), state)]


def _call(optimizer: Optimizer) -> tuple[Callable[..., Any] | None, dict[str, Any]]:
    """The factory and all its arguments; None and {} for a transformation already made."""
    if isinstance(optimizer, optax.GradientTransformation):
        return None, {}
    if isinstance(optimizer, partial):
        factory, args, values = optimizer.func, optimizer.args, optimizer.keywords
    elif (
        isinstance(optimizer, tuple)
        and len(optimizer) == 2
        and callable(optimizer[0])
        and isinstance(optimizer[1], Mapping)
    ):
        factory, args, values = optimizer[0], (), dict(optimizer[1])
    else:
        raise InputError(
            f"optimizer {type(optimizer).__name__}: is no optax transformation; pass one, "
            "partial(factory, …) or (factory, keywords)"
        )
    bound = inspect.signature(factory).bind(*args, **values)
    bound.apply_defaults()
    return factory, dict(bound.arguments)
