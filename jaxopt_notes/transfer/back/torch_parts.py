"""The parts of an optimizer in torch's form: its settings, and its state by torch's names.

here                            torch
mu                              exp_avg, grad_avg
nu                              exp_avg_sq, square_avg
nu_max                          max_exp_avg_sq
sum_of_squares                  sum
trace                           momentum_buffer
count                           step
"""

import inspect
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxopt_notes import conventions
from jaxopt_notes.conventions.origin import Origin
from jaxopt_notes.conventions.torch_groups import KINDS, Settings, plain
from jaxopt_notes.conventions.torch_state import SLOTS
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer.back.torch_layout import Back
from jaxopt_notes.transfer.recognition.groups import Group

_CLASSES = {kind.lower(): kind for kind in KINDS}  # by the names of our functions


class Part(NamedTuple):
    """Parameters that one torch optimizer updates, with one count.

    Attributes:
      settings: the torch optimizer and its arguments.
      params: the parameters, by torch's names.
      arrays: for each slot of torch's state, the arrays by torch's names of the parameters.
      steps: how many steps the parameters have taken; None if no step depends on that number.
      taken: how many steps the schedules have counted; None without a schedule.
    """

    settings: Settings
    params: dict[Hashable, np.ndarray]
    arrays: dict[str, dict[Hashable, np.ndarray]]
    steps: int | None
    taken: int | None


def recognized_parts(recognized: Sequence[Group], params: Any, back: Back) -> list[Part]:
    """The parts that `recognize` found.

    Args:
      recognized: the result of `recognize`.
      params: the parameters.
      back: from a tree like the parameters to {torch's name: array}.

    Raises:
      InputError: torch cannot keep the state.
    """
    parts = []
    for group in recognized:
        call = inspect.signature(getattr(conventions.torch, group.name)).bind(**group.keywords)
        call.apply_defaults()
        arguments = {name: plain(value) for name, value in call.arguments.items()}
        own = jax.tree.map(lambda m, p: p if m else optax.MaskedNode(), group.members, params)
        parts.append(_part(Settings(_CLASSES[group.name], arguments), back(own), group.state, back))
    return parts


def translated_parts(origin: Origin, state: Any, params: Any, back: Back) -> list[Part]:
    """The parts of a transformation that `translate` made; see `recognized_parts`."""
    values = back(params)
    parts = []
    for i, part in enumerate(origin.parts):
        own = {name: p for name, p in values.items() if origin.part_of[name] == i}
        parts.append(_part(part.settings, own, origin.state_of(i, state), back))
    return parts


def _part(settings: Settings, params: dict[Hashable, np.ndarray], state: Any, back: Back) -> Part:
    nodes = _nodes(state)
    fields = {name: getattr(node, name) for node in nodes for name in node._fields}
    arrays = {slot: back(fields[SLOTS[slot]]) for slot in settings.slots}
    # A schedule counts all steps; Adam's moments count only the steps of their parameters.
    clocks = [int(n.count) for n in nodes if isinstance(n, optax.ScaleByScheduleState)]
    moments = [
        int(n.count)
        for n in nodes
        if "count" in n._fields and not isinstance(n, optax.ScaleByScheduleState)
    ]
    steps = next(iter([*moments, *clocks]), None)
    cycled = [settings.arguments.get("momentum"), *settings.arguments.get("betas", ())]
    scheduled = settings.scheduled or any(map(callable, cycled))
    taken = clocks[-1] if scheduled else None  # the learning rate's count comes last
    return _checked(Part(settings, params, arrays, steps, taken))


def _nodes(state: Any) -> list[Any]:
    """The nodes of the state that have accumulators or a count."""

    def holds(node: Any) -> bool:
        fields = getattr(node, "_fields", ())
        return any(name == "count" or name in SLOTS.values() for name in fields)

    return [node for node in jax.tree.leaves(state, is_leaf=holds) if holds(node)]


def _checked(part: Part) -> Part:
    """Raises InputError if torch's optimizer cannot hold the arrays or the settings."""
    kind, lr = part.settings.kind, part.settings.arguments["lr"]
    if not callable(lr) and lr < 0:
        raise InputError(
            f"the learning rate is {lr}: torch takes no negative learning rate; use maximize=True "
            "to maximize"
        )
    for name, p in part.params.items():
        if p.dtype.kind == "c" and kind != "SGD":
            raise InputError(
                f"parameter {name!r} is complex: torch's {kind} treats its real and imaginary part "
                "as two, which has no equivalent here: keep the two parts as real parameters"
            )
        for slot, arrays in part.arrays.items():
            if arrays[name].dtype != p.dtype:
                raise InputError(
                    f"parameter {name!r} is {p.dtype}, its {SLOTS[slot]} {arrays[name].dtype}: "
                    f"torch keeps {slot} in the parameter's dtype; cast the parameters or the state"
                )
    return part


def of_one_class(parts: Sequence[Part]) -> Sequence[Part]:
    """The parts, if one of torch's optimizers can hold them all as param groups.

    Raises:
      InputError: they need several.
    """
    kinds = {part.settings.kind for part in parts}
    if kinds == {"Adam", "AdamW"}:
        # Without weight decay these are one optimizer.
        decaying = {p.settings.kind for p in parts if p.settings.arguments["weight_decay"]}
        if len(decaying) < 2:
            (kind,) = decaying or {"Adam"}
            return [p._replace(settings=p.settings._replace(kind=kind)) for p in parts]
    if len(kinds) > 1:
        raise InputError(
            f"the parameters are stepped by torch's {' and '.join(sorted(kinds))}, which are "
            "different optimizers there: transfer each part of the parameters by itself"
        )
    if not kinds:
        raise InputError("the optimizer steps no parameter; there is nothing to transfer")
    return parts
