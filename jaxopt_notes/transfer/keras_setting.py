"""The groups that `recognize` finds, as the one setting and the arrays of a Keras optimizer."""

import inspect
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes import conventions
from jaxopt_notes.conventions.terms import given
from jaxopt_notes.conventions.torch_groups import plain
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer.recognition import Group

_CLASSES = {"sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam"}
_CLASSES["adamw"] = "Adam"  # with a decay it is AdamW
_ACCUMULATORS = {"trace", "sum_of_squares", "mu", "nu", "nu_max"}
_AHEAD = (0, 1, 2, 3, 10, 30, 100, 300, 1000, 3000, 10000)  # where two schedules are compared


class KerasSetting(NamedTuple):
    """A Keras optimizer.

    Attributes:
      kind: its class; "Adam" for AdamW too.
      rate: the learning rate, a number or a function of the steps taken.
      arguments: the others.
    """

    kind: str
    rate: Any
    arguments: dict[str, Any]


def parting(one: Any, other: Any, taken: int) -> int | None:
    """After how many steps two learning rates part; None if they are equal to float32 rounding.

    Args:
      one: a number, or a function of the steps taken.
      other: the same.
      taken: the steps taken by now.
    """
    if not (callable(one) or callable(other)):
        return None if one == other else taken
    steps = [taken + k for k in _AHEAD]
    a, b = (np.array([rate_at(rate, k) for k in steps]) for rate in (one, other))
    apart = np.abs(a - b) > 1e-6 * np.abs(b).max()
    return steps[int(np.argmax(apart))] if apart.any() else None


def rate_at(rate: Any, steps: int) -> float:
    """The learning rate after a number of steps."""
    return float(rate(jnp.asarray(steps, jnp.int32)) if callable(rate) else rate)


def setting_of(group: Group) -> KerasSetting:
    """A group's setting."""
    call = inspect.signature(getattr(conventions.keras, group.name)).bind(**group.keywords)
    call.apply_defaults()
    arguments = {name: plain(value) for name, value in call.arguments.items()}
    rate = arguments.pop("learning_rate")
    if not given(arguments["weight_decay"]):
        arguments["weight_decay"] = None
    return KerasSetting(_CLASSES[group.name], rate, arguments)


def one_setting(each: Sequence[KerasSetting], taken: int) -> KerasSetting:
    """The setting of all groups, which can differ only in whether they have a weight decay.

    Raises:
      InputError: they differ in something else, and Keras has no param groups.
    """
    if not each:
        raise InputError("the optimizer steps no parameter; there is nothing to transfer")
    first = max(each, key=lambda s: s.arguments["weight_decay"] or 0.0)
    for other in each:
        if other.kind != first.kind:
            raise InputError(
                f"the parameters are stepped by Keras' {first.kind} and {other.kind}, but one "
                "Keras optimizer steps all variables: transfer each part by itself"
            )
        differing = [
            name
            for name, value in other.arguments.items()
            if value != first.arguments[name] and not (name == "weight_decay" and value is None)
        ]
        if parting(other.rate, first.rate, taken) is not None:
            differing.append("learning_rate")
        if differing:
            raise InputError(
                f"the parameters are stepped with different {', '.join(differing)}, but Keras has "
                "no param groups: transfer each part of the parameters by itself"
            )
    return first


def _nodes(state: Any) -> list[Any]:
    """The parts of the state that have accumulators or a count."""

    def holds(node: Any) -> bool:
        return bool({*_ACCUMULATORS, "count"}.intersection(getattr(node, "_fields", ())))

    return [node for node in jax.tree.leaves(state, is_leaf=holds) if holds(node)]


def steps_of(groups: Sequence[Group], steps: int | None) -> int:
    """How many steps were taken: what the state counts, else `steps`, else 0."""
    counts = {
        int(node.count) for g in groups for node in _nodes(g.state) if "count" in node._fields
    }
    if len(counts) > 1:
        raise InputError(
            f"the state counts {min(counts)} and {max(counts)} steps; Keras has one count for all "
            "variables and its schedule: step all parameters from the start"
        )
    if steps is not None and counts - {steps}:
        raise InputError(f"steps={steps}: the state counts {max(counts)}; leave steps out")
    return int(max(counts, default=steps or 0))


def by_name(
    groups: Sequence[Group],
    names: Sequence[Hashable],
    back: Callable[[Any], dict[Hashable, np.ndarray]],
) -> tuple[dict[Hashable, dict[str, np.ndarray]], set[Hashable]]:
    """Each variable's accumulators, and the variables without a weight decay."""
    accumulators: dict[Hashable, dict[str, np.ndarray]] = {}
    undecayed: set[Hashable] = set()
    for group in groups:
        own = {
            field: back(_members(group, getattr(node, field)))
            for node in _nodes(group.state)
            for field in _ACCUMULATORS.intersection(node._fields)
        }
        members = back(_members(group, group.members)).keys()
        for name in members:
            accumulators[name] = {field: of[name] for field, of in own.items()}
        if not given(group.keywords.get("weight_decay")):
            undecayed |= members
    for name in names:
        if name not in accumulators:
            raise InputError(
                f"{name!r} is not stepped here, but Keras would step it: set trainable=False, and "
                "transfer the other parameters alone"
            )
    return accumulators, undecayed


def _members(group: Group, tree: Any) -> Any:
    return jax.tree.map(lambda m, x: x if m else optax.MaskedNode(), group.members, tree)
