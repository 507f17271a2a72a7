"""Parameter groups: the rules of one framework optimizer, with its state."""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes.transfer.recognition.frameworks import Field
from jaxopt_notes.transfer.recognition.matching import HOMES, Match, filled, made
from jaxopt_notes.transfer.recognition.program import Program
from jaxopt_notes.transfer.recognition.rules import Rule

Row = tuple[Rule, Match]


class Group(NamedTuple):
    """The parameters that one framework optimizer updates.

    Attributes:
      name: the function of `conventions.torch` or `conventions.keras`: "sgd", "adamw", ….
      keywords: all its arguments, as Python values; the learning rate is a number or a function of
        the steps taken.
      members: a tree like the parameters, True for the parameters of this group.
      state: a state of `getattr(conventions.torch, name)(**keywords)`, with `MaskedNode()` for the
        parameters of other groups.

    >>> from jaxopt_notes.transfer import recognize
    >>> params = {"w": jnp.ones(3)}
    >>> optimizer = optax.adamw(0.1)
    >>> (group,) = recognize(optimizer, optimizer.init(params), params, "torch")
    >>> group.name, group.keywords["betas"]
    ('adamw', (0.9, 0.999))
    """

    name: str
    keywords: dict[str, Any]
    members: Any
    state: Any


def groups(
    rows: Sequence[Row], program: Program, state: Any, params: Any, framework: str
) -> list[Group]:
    """The groups of some rules; rules of equal optimizers at the same step form one group.

    Args:
      rows: each rule with its match.
      program: the program that contains the rules.
      state: the optimizer's state.
      params: the parameters.
      framework: "torch" or "keras".
    """
    if any(match.name == "adamw" for _, match in rows):
        rows = [(rule, _without_decay(match)) for rule, match in rows]
    alike: dict[Any, list[Row]] = {}
    for rule, match in rows:
        plain = {k: _without_schedules(v) for k, v in match.keywords.items()}
        key = (match.name, repr(plain), match.schedules, match.steps, match.scheduled)
        alike.setdefault(key, []).append((rule, match))
    return [_group(members, program, state, params, framework) for members in alike.values()]


def _without_schedules(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_without_schedules, value))
    return None if callable(value) else value


def _without_decay(match: Match) -> Match:
    """Without weight decay Adam equals AdamW, so it is named AdamW if another group is AdamW."""
    if match.name != "adam" or match.keywords["weight_decay"]:
        return match
    return match._replace(name="adamw", keywords={**match.keywords, "weight_decay": 0.0})


def _group(rows: Sequence[Row], program: Program, state: Any, params: Any, framework: str) -> Group:
    tree: Any
    leaves, tree = jax.tree.flatten(params)
    values = jax.tree.leaves(state)
    rows_of = {i: row for row in rows for i in row[0].leaves}
    match = rows[0][1]

    def tree_of(field: str) -> Any:
        column: list[Any] = [optax.MaskedNode()] * len(leaves)
        for i, (rule, own) in rows_of.items():
            source = own.fields[field]
            x = values[program.place(rule.slots[source.place].path, i)]
            column[i] = _array(x, source)
        return tree.unflatten(column)

    masked = [x if i in rows_of else optax.MaskedNode() for i, x in enumerate(leaves)]
    empty = made(framework, match).init(tree.unflatten(masked))
    parameters = inspect.signature(getattr(HOMES[framework], match.name)).parameters
    return Group(
        match.name,
        {name: match.keywords.get(name, p.default) for name, p in parameters.items()},
        tree.unflatten([i in rows_of for i in range(len(leaves))]),
        filled(empty, match, {field: tree_of(field) for field in match.fields}),
    )


def _array(x: Any, field: Field) -> Any:
    """The framework's accumulator; computed in float64 if it differs from the rule's."""
    if field == Field(field.place):
        return x
    return jnp.asarray(field.of(np.asarray(x, np.float64)), x.dtype)
