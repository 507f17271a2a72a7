"""Torch's param groups and state_dict, in NumPy."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxopt_notes.conventions.torch_groups import Settings
from jaxopt_notes.conventions.torch_scheduler_tables import Schedule
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer.back.torch_layout import Groups, grouped
from jaxopt_notes.transfer.back.torch_parts import Part, of_one_class

# All keys of torch's param groups. Keys that are no argument here choose an implementation.
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
      settings: the torch optimizer and its arguments, numbers or schedules.
      names: its parameters, in order.
      stepped: the parameters that are not frozen.
      states: torch's state of each parameter that has a state, as arrays.
      taken: how many steps the schedules have counted; 0 without a schedule.
    """

    settings: Settings
    names: list[Hashable]
    stepped: frozenset[Hashable]
    states: dict[Hashable, dict[str, np.ndarray]]
    taken: int

    @property
    def scheduled(self) -> bool:
        """Whether an argument is a function of the steps."""
        return any(map(callable, [*self.settings.arguments.values(), *self._betas]))

    @property
    def _betas(self) -> tuple[Any, ...]:
        return tuple(self.settings.arguments.get("betas", ()))

    @property
    def now(self) -> dict[str, Any]:
        """The arguments of the next step: numbers in place of schedules."""
        now = {name: self._number(value) for name, value in self.settings.arguments.items()}
        return now | ({"betas": tuple(map(self._number, self._betas))} if self._betas else {})

    def _number(self, value: Any) -> Any:
        if isinstance(value, Schedule):
            return value.exactly(self.taken)
        return float(value(jnp.asarray(self.taken, jnp.int32))) if callable(value) else value

    def steady(self, lr: float) -> "ParamGroup":
        """The group with the given learning rate and the current values of the other arguments."""
        settings = self.settings._replace(arguments={**self.now, "lr": lr})
        return self._replace(settings=settings)


def param_groups(
    parts: Sequence[Part],
    names: Sequence[Hashable],
    groups: Groups | None,
    frozen: frozenset[Hashable],
    steps: int | None,
) -> list[ParamGroup]:
    """Torch's param groups.

    Args:
      parts: the parts of the parameters that the optimizer updates.
      names: all parameters in torch's order.
      groups: the names in each param group; None makes one group for each setting.
      frozen: the parameters of the parts that never change.
      steps: how many steps were taken; needed only where the state does not count them.

    Raises:
      InputError: torch cannot keep this state, or these groups, in one optimizer.
    """
    parts = of_one_class(parts)
    counts = {n for part in parts for n in (part.steps, part.taken) if n is not None}
    if steps is not None and counts and steps != max(counts):
        raise InputError(f"steps={steps}: the state counts {max(counts)}; leave steps out")
    taken = {part.taken for part in parts if part.taken is not None}
    if len(taken) > 1:
        raise InputError(
            f"the schedules have counted different steps, {min(taken)} and {max(taken)}; one "
            "scheduler in torch has one count: step all parameters from the start"
        )
    last = max(counts, default=0) if steps is None else steps
    owner = {name: part for part in parts for name in part.params}
    made = []
    for own in grouped(names, groups, {name: part.settings for name, part in owner.items()}):
        known = [name for name in own if name in owner]
        states = {name: _state(name, owner[name], last) for name in known}
        made.append(
            ParamGroup(
                owner[known[0]].settings,
                own,
                frozenset(known) - frozen,
                {name: state for name, state in states.items() if state},
                max(taken, default=0),
            )
        )
    return made


def _state(name: Hashable, part: Part, last: int) -> dict[str, np.ndarray]:
    """Torch's state of a parameter; empty before its first step, as in torch."""
    kind = part.settings.kind
    slots = {slot: arrays[name] for slot, arrays in part.arrays.items()}
    # AdaGrad's sum exists from the start.
    if kind != "Adagrad" and not part.steps and not any(map(np.any, slots.values())):
        return {}
    if kind == "SGD":
        return slots
    steps = last if part.steps is None else part.steps
    return {"step": np.asarray(steps, np.float32), **slots}


def state_dict(
    groups: Sequence[ParamGroup],
    implementation: Mapping[str, Any],
    schedules: Sequence[Schedule] | None,
) -> dict[str, Any]:
    """The state_dict of torch's optimizer, with arrays in place of tensors.

    Args:
      groups: the param groups.
      implementation: the arguments that choose torch's implementation.
      schedules: each group's schedules, if a torch scheduler drives the groups and so keeps numbers
        in them.
    """
    state: dict[int, dict[str, np.ndarray]] = {}
    dicts = []
    first = 0
    for i, group in enumerate(groups):
        numbers = range(first, first + len(group.names))
        first = numbers.stop
        state |= {k: group.states[n] for k, n in zip(numbers, group.names) if n in group.states}
        of = group_settings(group, implementation)
        of |= dict(schedules[i].numbers) if schedules else {}
        if all(isinstance(name, str) for name in group.names):
            of["param_names"] = list(group.names)
        dicts.append({**of, "params": list(numbers)})
    return {"state": state, "param_groups": dicts}


def group_settings(group: ParamGroup, implementation: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a param group's next step, in torch's order."""
    kind = group.settings.kind
    keys = _KEYS[kind].split()
    for key in implementation:
        if key not in IMPLEMENTATION or key not in keys:
            able = ", ".join(k for k in IMPLEMENTATION if k in keys)
            raise InputError(f"{key}: torch's {kind} does not take it; it takes {able}")
    decoupled = {"decoupled_weight_decay": kind == "AdamW"}
    values = {**IMPLEMENTATION, **implementation, **group.now, **decoupled}
    return {key: values[key] for key in keys}
