"""From the groups that `recognize` finds to torch's param groups and state, in NumPy.

here                            torch
mu                              exp_avg, grad_avg
nu                              exp_avg_sq, square_avg
nu_max                          max_exp_avg_sq
sum_of_squares                  sum
trace                           momentum_buffer
count                           step
"""

import inspect
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes import conventions
from jaxopt_notes.conventions.torch_groups import KINDS, Settings, plain
from jaxopt_notes.conventions.torch_state import SLOTS
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer.recognition import Group
from jaxopt_notes.transfer.torch_layout import Groups, Layout, grouped

_NAMES = {kind.lower(): kind for kind in KINDS}  # of the function here: torch's class
# All keys of torch's param groups. Those that are no argument here choose an implementation.
_KEYS = {
    "SGD": "lr momentum dampening weight_decay nesterov maximize foreach differentiable fused",
    "Adagrad": "lr lr_decay eps weight_decay initial_accumulator_value foreach maximize "
    "differentiable fused",
    "RMSprop": "lr momentum alpha eps centered weight_decay capturable foreach maximize "
    "differentiable",
    "Adam": "lr betas eps weight_decay amsgrad maximize foreach capturable differentiable fused "
    "decoupled_weight_decay",
}
_KEYS["AdamW"] = _KEYS["Adam"]
IMPLEMENTATION = {"foreach": None, "capturable": False, "differentiable": False, "fused": None}


class ParamGroup(NamedTuple):
    """One of torch's param groups.

    Attributes:
      settings: which of torch's optimizers, and its arguments; the learning rate is a number or a
        schedule.
      names: its parameters, in order.
      stepped: those of them that are not frozen.
      states: torch's state of each parameter that has one, as arrays.
      taken: how many steps the schedule has counted; 0 without a schedule.
    """

    settings: Settings
    names: list[Hashable]
    stepped: frozenset[Hashable]
    states: dict[Hashable, dict[str, np.ndarray]]
    taken: int

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        lr: Any = self.settings.arguments["lr"]
        return float(lr(jnp.asarray(self.taken, jnp.int32)) if callable(lr) else lr)

    def with_rate(self, lr: float) -> "ParamGroup":
        """The group with that learning rate."""
        arguments = {**self.settings.arguments, "lr": lr}
        return self._replace(settings=self.settings._replace(arguments=arguments))


class _Stepped(NamedTuple):
    """A group of `recognize`'s with its arrays by torch's names."""

    settings: Settings
    arrays: dict[str, dict[Hashable, np.ndarray]]  # slot: {name: array}
    params: dict[Hashable, np.ndarray]
    steps: int | None  # None if no step depends on the count
    taken: int | None  # by the schedule


def param_groups(
    recognized: Sequence[Group],
    params: Any,
    layout: Layout,
    groups: Groups | None = None,
    steps: int | None = None,
) -> list[ParamGroup]:
    """Torch's param groups.

    Args:
      recognized: what `recognize` returned for the parameters.
      params: the parameters.
      layout: where each of torch's parameters is among them.
      groups: the names in each param group; as a default a group for each setting.
      steps: how many steps were taken; needed only where the state does not count them.

    Raises:
      InputError: torch cannot keep this state, or these groups, in one optimizer.
    """
    stepped = _of_one_class([_stepped(group, params, layout) for group in recognized])
    counts = {n for s in stepped for n in (s.steps, s.taken) if n is not None}
    if steps is not None and counts and steps != max(counts):
        raise InputError(f"steps={steps}: the state counts {max(counts)}; leave steps out")
    taken = {s.taken for s in stepped if s.taken is not None}
    if len(taken) > 1:
        raise InputError(
            f"the schedules have counted different steps, {min(taken)} and {max(taken)}; one "
            "scheduler in torch has one count: step all parameters from the start"
        )
    last = max(counts, default=0) if steps is None else steps
    owner = {name: s for s in stepped for name in s.params}
    states = {name: _state(name, s, last) for name, s in owner.items()}
    values = layout.back(params)
    made = []
    for names in grouped(layout.names, groups, {n: s.settings for n, s in owner.items()}):
        stepped_here = frozenset(names) & owner.keys()
        settings = owner[next(name for name in names if name in stepped_here)].settings
        own = {n: states[n] if n in states else _first(settings, values[n]) for n in names}
        own = {name: state for name, state in own.items() if state}
        made.append(ParamGroup(settings, names, stepped_here, own, max(taken, default=0)))
    return made


def _stepped(group: Group, params: Any, layout: Layout) -> _Stepped:
    function = getattr(conventions.torch, group.name)
    call = inspect.signature(function).bind(**group.keywords)
    call.apply_defaults()
    arguments = {name: plain(value) for name, value in call.arguments.items()}
    settings = Settings(_NAMES[group.name], arguments)

    def own(tree: Any) -> dict[Hashable, np.ndarray]:
        masked = jax.tree.map(lambda m, x: x if m else optax.MaskedNode(), group.members, tree)
        return layout.back(masked)

    nodes = _nodes(group.state)
    fields = {name: getattr(node, name) for node in nodes for name in node._fields}
    arrays = {slot: own(fields[SLOTS[slot]]) for slot in settings.slots}
    # A schedule counts all steps; Adam's moments only those of their parameters.
    schedules = [int(n.count) for n in nodes if isinstance(n, optax.ScaleByScheduleState)]
    moments = [
        int(n.count)
        for n in nodes
        if "count" in n._fields and not isinstance(n, optax.ScaleByScheduleState)
    ]
    steps = (moments or schedules or [None])[0]
    taken = schedules[-1] if settings.scheduled else None
    return _checked(_Stepped(settings, arrays, own(params), steps, taken))


def _nodes(state: Any) -> list[Any]:
    """The parts of the state that have accumulators or a count."""

    def holds(node: Any) -> bool:
        return any(
            name == "count" or name in SLOTS.values() for name in getattr(node, "_fields", ())
        )

    return [node for node in jax.tree.leaves(state, is_leaf=holds) if holds(node)]


def _checked(stepped: _Stepped) -> _Stepped:
    """Raises InputError where torch's optimizer could not hold the arrays or the settings."""
    kind, arguments = stepped.settings.kind, stepped.settings.arguments
    lr: Any = arguments["lr"]
    if not callable(lr) and lr < 0:
        raise InputError(
            f"the learning rate is {lr}: torch takes none below 0; use maximize=True to climb"
        )
    for name, p in stepped.params.items():
        if p.dtype.kind == "c" and kind != "SGD":
            raise InputError(
                f"parameter {name!r} is complex: torch's {kind} treats its real and imaginary part "
                "as two, which has no equal here: keep the two parts as real parameters"
            )
        for slot, arrays in stepped.arrays.items():
            if arrays[name].dtype != p.dtype:
                raise InputError(
                    f"parameter {name!r} is {p.dtype}, its {SLOTS[slot]} {arrays[name].dtype}: "
                    f"torch keeps {slot} in the parameter's dtype; cast the parameters or the state"
                )
    return stepped


def _of_one_class(stepped: list[_Stepped]) -> list[_Stepped]:
    """All with settings of one of torch's classes: one optimizer holds all param groups."""
    kinds = {s.settings.kind for s in stepped}
    if kinds == {"Adam", "AdamW"}:
        # Without a decay they are one optimizer.
        decaying = {s.settings.kind for s in stepped if s.settings.arguments["weight_decay"]}
        if len(decaying) < 2:
            (kind,) = decaying or {"Adam"}
            return [s._replace(settings=s.settings._replace(kind=kind)) for s in stepped]
    if len(kinds) > 1:
        raise InputError(
            f"the parameters are stepped by torch's {' and '.join(sorted(kinds))}, which are "
            "different optimizers there: transfer each part of the parameters by itself"
        )
    if not kinds:
        raise InputError("the optimizer steps no parameter; there is nothing to transfer")
    return stepped


def _state(name: Hashable, stepped: _Stepped, last: int) -> dict[str, np.ndarray]:
    """Torch's state of a parameter; empty before its first step, when torch has none either."""
    kind = stepped.settings.kind
    slots = {slot: arrays[name] for slot, arrays in stepped.arrays.items()}
    # AdaGrad's sum is there from the start.
    if kind != "Adagrad" and not stepped.steps and not any(map(np.any, slots.values())):
        return {}
    if kind == "SGD":
        return slots
    steps = last if stepped.steps is None else stepped.steps
    return {"step": np.asarray(steps, np.float32), **slots}


def _first(settings: Settings, p: np.ndarray) -> dict[str, np.ndarray]:
    """Torch's state of a frozen parameter: AdaGrad's sum is there from the start."""
    if settings.kind != "Adagrad":
        return {}
    initial = settings.arguments["initial_accumulator_value"]
    return {"step": np.zeros((), np.float32), "sum": np.full_like(p, initial)}


def state_dict(groups: Sequence[ParamGroup], implementation: Mapping[str, Any]) -> dict[str, Any]:
    """The state_dict of torch's optimizer, with arrays in place of tensors."""
    state: dict[int, dict[str, np.ndarray]] = {}
    dicts = []
    first = 0
    for group in groups:
        numbers = range(first, first + len(group.names))
        first = numbers.stop
        state |= {i: group.states[n] for i, n in zip(numbers, group.names) if n in group.states}
        of = group_settings(group, implementation)
        if all(isinstance(name, str) for name in group.names):
            of["param_names"] = list(group.names)
        dicts.append({**of, "params": list(numbers)})
    return {"state": state, "param_groups": dicts}


def group_settings(group: ParamGroup, implementation: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a param group, in torch's order."""
    kind = group.settings.kind
    values = {
        **IMPLEMENTATION,
        **implementation,
        **group.settings.arguments,
        "lr": group.rate,
        "decoupled_weight_decay": kind == "AdamW",
    }
    keys = _KEYS[kind].split()
    for key in implementation:
        if key not in IMPLEMENTATION or key not in keys:
            able = ", ".join(k for k in IMPLEMENTATION if k in keys)
            raise InputError(f"{key}: torch's {kind} does not take it; it takes {able}")
    return {key: values[key] for key in keys}
