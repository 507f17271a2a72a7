"""Which of torch's or Keras' optimizers a transformation is.

One step is traced in float64 and read as one rule for each kind of parameter array. The rule's parts
and numbers are measured, which names an optimizer of the framework; that one is stepped beside the
rule from the same state, and must go where it goes. Nothing is recognised without that proof.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer.anatomy import UnlikeError
from jaxopt_notes.transfer.matching import HOMES, Match, filled, made, match
from jaxopt_notes.transfer.program import Program, trace
from jaxopt_notes.transfer.rules import Rule, rules
from jaxopt_notes.transfer.scalars import scalars

# A transformation, `functools.partial(factory, …)`, or `(factory, keywords)`.
Optimizer = Any


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

    >>> import jax.numpy as jnp, optax
    >>> params = {"w": jnp.ones(3)}
    >>> optimizer = optax.sgd(0.1, momentum=0.9)
    >>> (group,) = recognize(optimizer, optimizer.init(params), params, "torch")
    >>> group.name, group.keywords["momentum"], group.members
    ('sgd', 0.9, {'w': True})
    """
    if framework not in HOMES:
        raise InputError(f"framework {framework!r}: is not known; pass 'torch' or 'keras'")
    factory, arguments = _call(optimizer)
    transformation = optimizer if factory is None else factory(**arguments)
    program = trace(transformation, state, params)
    if factory is not None and getattr(HOMES[framework], factory.__name__, None) is factory:
        return [Group(factory.__name__, arguments, jax.tree.map(lambda _: True, params), state)]
    try:
        if program.mixes:
            raise UnlikeError(program.mixes[0])
        numbers = scalars(program, state)
        found = [
            (rule, match(rule, program, numbers, state, framework, arguments))
            for rule in rules(program)
            if not rule.idle
        ]
        _check_starts(transformation, found, program, state, params)
    except UnlikeError as error:
        raise InputError(str(error)) from error
    return _groups(found, program, state, params, framework)


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


def _groups(
    found: list[tuple[Rule, Match]], program: Program, state: Any, params: Any, framework: str
) -> list[Group]:
    """Rules of the same optimizer at the same step together, each with its state."""
    alike: dict[Any, list[tuple[Rule, Match]]] = {}
    for rule, one in found:
        plain = {k: v for k, v in one.keywords.items() if not callable(v)}
        key = (one.name, repr(sorted(plain.items())), one.rate, one.steps, one.scheduled)
        alike.setdefault(key, []).append((rule, one))
    return [_group(rows, program, state, params, framework) for rows in alike.values()]


def _group(
    rows: list[tuple[Rule, Match]], program: Program, state: Any, params: Any, framework: str
) -> Group:
    leaves, tree = jax.tree.flatten(params)
    values = jax.tree.leaves(state)
    owned: dict[int, tuple[Rule, Match]] = {i: row for row in rows for i in row[0].leaves}
    own = tree.unflatten(
        [x if i in owned else optax.MaskedNode() for i, x in enumerate(leaves)]
    )
    one = rows[0][1]

    def tree_of(field: str) -> Any:
        columns: list[Any] = [optax.MaskedNode()] * len(leaves)
        for i, (rule, of) in owned.items():
            place, scale = of.fields[field]
            x = values[program.place(rule.slots[place].path, i)]
            columns[i] = _scaled(x, scale, leaves[i])
        return tree.unflatten(columns)

    fields = {field: tree_of(field) for field in one.fields}
    members = tree.unflatten([i in owned for i in range(len(leaves))])
    keywords = {**_defaults(getattr(HOMES[framework], one.name)), **one.keywords}
    return Group(one.name, keywords, members, filled(made(framework, one).init(own), one, fields))


def _scaled(x: Any, scale: float, like: Any) -> Any:
    if scale == 1:
        return x
    return jnp.asarray((np.asarray(x, np.float64) * scale).astype(x.dtype))


def _defaults(factory: Callable[..., Any]) -> dict[str, Any]:
    return {name: p.default for name, p in inspect.signature(factory).parameters.items()}


def _check_starts(
    transformation: Any, found: list[tuple[Rule, Match]], program: Program, state: Any, params: Any
) -> None:
    pass
