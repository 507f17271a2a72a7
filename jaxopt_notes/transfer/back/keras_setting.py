"""An optimizer in Keras' form: one setting for all variables, and arrays by their names."""

import inspect
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes import conventions
from jaxopt_notes.conventions.keras_translation import KerasOrigin
from jaxopt_notes.conventions.terms import is_set
from jaxopt_notes.conventions.torch_groups import plain
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer.recognition.groups import Group

_CLASSES = {"sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam"}
_CLASSES["adamw"] = "Adam"  # with a weight decay it is AdamW
_ACCUMULATORS = {"trace", "sum_of_squares", "mu", "nu", "nu_max"}
Back = Callable[[Any], dict[Hashable, np.ndarray]]  # from a tree like the params to {name: array}
_AHEAD = (0, 1, 2, 3, 10, 30, 100, 300, 1000, 3000, 10000)  # steps to compare two schedules at


class KerasSetting(NamedTuple):
    """A Keras optimizer.

    Attributes:
      kind: its class; "Adam" for AdamW too.
      rate: the learning rate, a number or a function of the steps taken.
      arguments: the arguments of its function in `conventions.keras`, except the learning rate.
      clip: Keras' argument for gradient clipping, and the bound.
      undecayed: the variables without weight decay.
    """

    kind: str
    rate: Any
    arguments: dict[str, Any]
    clip: dict[str, float]
    undecayed: frozenset[Hashable]


def translated_setting(origin: KerasOrigin) -> KerasSetting:
    """The setting of a transformation that `translate` made from a Keras optimizer."""
    arguments = dict(origin.settings.arguments)
    rate = arguments.pop("learning_rate")
    clip = dict([origin.settings.clip] if origin.settings.clip else [])
    return KerasSetting(origin.settings.kind, rate, arguments, clip, origin.undecayed)


def recognized_setting(
    groups: Sequence[Group], params: Any, names: Sequence[Hashable], back: Back, taken: int
) -> KerasSetting:
    """The setting of the groups that `recognize` found.

    Args:
      groups: the result of `recognize`.
      params: the parameters.
      names: the variables' names.
      back: from a tree like the parameters to {name: array}.
      taken: how many steps were taken.

    Raises:
      InputError: the groups differ in more than the presence of a weight decay, and Keras has no
        param groups; or a variable is in no group.
    """
    stepped: set[Hashable] = set()
    undecayed: set[Hashable] = set()
    each = []
    for group in groups:
        members = jax.tree.map(lambda m, p: p if m else optax.MaskedNode(), group.members, params)
        own = back(members).keys()
        each.append(_setting(group))
        stepped |= own
        undecayed |= own if each[-1].arguments["weight_decay"] is None else set()
    if stepped != set(names):
        still = next(name for name in names if name not in stepped)
        raise InputError(
            f"{still!r} is not stepped here, but Keras would step it: set trainable=False, and "
            "transfer the other parameters alone"
        )
    return _one_of(each, taken)._replace(undecayed=frozenset(undecayed))


def parting(one: Any, other: Any, taken: int) -> int | None:
    """After how many steps two learning rates differ; None if they agree to float32 rounding.

    Args:
      one: a number, or a function of the steps taken.
      other: a number, or a function of the steps taken.
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


def _setting(group: Group) -> KerasSetting:
    call = inspect.signature(getattr(conventions.keras, group.name)).bind(**group.keywords)
    call.apply_defaults()
    arguments = {name: plain(value) for name, value in call.arguments.items()}
    rate = arguments.pop("learning_rate")
    if not is_set(arguments["weight_decay"]):
        arguments["weight_decay"] = None
    return KerasSetting(_CLASSES[group.name], rate, arguments, {}, frozenset())


def _one_of(each: Sequence[KerasSetting], taken: int) -> KerasSetting:
    """The setting with a weight decay, if no other setting differs from it in anything else."""
    first = max(each, key=lambda s: s.arguments["weight_decay"] or 0.0)
    for other in each:
        if other.kind != first.kind:
            raise InputError(
                f"the parameters are stepped by Keras' {first.kind} and {other.kind}, but one "
                "Keras optimizer steps all variables: transfer each part separately"
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
    """The nodes of the state that have accumulators or a count."""

    def holds(node: Any) -> bool:
        return bool({*_ACCUMULATORS, "count"}.intersection(getattr(node, "_fields", ())))

    return [node for node in jax.tree.leaves(state, is_leaf=holds) if holds(node)]


def steps_of(states: Sequence[Any], steps: int | None) -> int:
    """How many steps were taken: the states' count, else `steps`, else 0."""
    counts = {int(n.count) for state in states for n in _nodes(state) if "count" in n._fields}
    if len(counts) > 1:
        raise InputError(
            f"the state counts {min(counts)} and {max(counts)} steps; Keras has one count for all "
            "variables and its schedule: step all parameters from the start"
        )
    if steps is not None and counts - {steps}:
        raise InputError(f"steps={steps}: the state counts {max(counts)}; leave steps out")
    return int(max(counts, default=steps or 0))


def accumulators_of(states: Sequence[Any], back: Back) -> dict[str, dict[Hashable, np.ndarray]]:
    """The accumulators in the states, by field and by variable name."""
    arrays: dict[str, dict[Hashable, np.ndarray]] = {}
    for node in (node for state in states for node in _nodes(state)):
        for field in _ACCUMULATORS.intersection(node._fields):
            arrays.setdefault(field, {}).update(back(getattr(node, field)))
    return arrays
