"""Turns the state of a torch optimizer into the state of `train`'s optimizer, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes.errors import InputError


def one_group(
    optimizer: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, Any], list[str]]:
    """The state_dict with all parameters in one param group, and the parameters' names in order.

    Args:
      optimizer: the optimizer's state_dict, whose param groups have equal settings.
      shapes: the shapes of the network's parameters, in the module's order.

    Raises:
      InputError: the parameters are not the network's; or several param groups hold parameters of
        one shape, and nothing says which is which.
    """
    groups = optimizer["param_groups"]
    keys = [key for group in groups for key in group["params"]]
    if len(keys) != len(shapes):
        raise InputError(
            f"the optimizer has {len(keys)} parameters, the network {len(shapes)}: a run of train "
            "trains all of them"
        )
    own = [name for group in groups for name in group.get("param_names", ())]
    own = own or ([key for key in keys if isinstance(key, str)])
    if sorted(own) == sorted(shapes):
        names = own
    elif len(groups) == 1:
        names = list(shapes)
    else:
        names = _by_shape(optimizer, keys, shapes)
    with_state = [any(x is not None for x in _state(optimizer, key).values()) for key in keys]
    if any(with_state) and not all(with_state):
        raise InputError(
            f"the optimizer holds no state for {names[with_state.index(False)]!r}, which has had "
            "no gradient: a run of train trains all parameters"
        )
    for key, name in zip(keys, names):
        for slot, tensor in _state(optimizer, key).items():
            shape = tuple(getattr(tensor, "shape", ()))
            if shape and shape != shapes[name]:
                raise InputError(
                    f"the optimizer's {slot} has shape {list(shape)} where the network's {name!r} "
                    f"has {list(shapes[name])}: its parameters are not the module's, in the "
                    "module's order"
                )
    group = {key: x for key, x in groups[0].items() if key != "param_names"}
    state = {
        key: {slot: x if slot == "step" else as_float32(x) for slot, x in of.items()}
        for key, of in optimizer.get("state", {}).items()
    }
    return {"state": state, "param_groups": [{**group, "params": keys}]}, names


def _state(optimizer: Mapping[str, Any], key: Any) -> Mapping[str, Any]:
    """The optimizer's state for a parameter."""
    state: Mapping[str, Any] = optimizer.get("state", {}).get(key, {})
    return state


def as_float32(x: Any) -> Any:
    """A floating tensor or array in float32, in which `train` works; anything else unchanged."""
    if hasattr(x, "is_floating_point"):
        return x.float() if x.is_floating_point() else x
    return x.astype(jnp.float32) if jnp.issubdtype(getattr(x, "dtype", int), jnp.floating) else x


def _by_shape(
    optimizer: Mapping[str, Any], keys: Sequence[Any], shapes: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """Names the parameters by their state's shapes, where each group keeps the module's order."""
    group_of = {
        key: i for i, group in enumerate(optimizer["param_groups"]) for key in group["params"]
    }
    left = {shape: [n for n, s in shapes.items() if s == shape] for shape in shapes.values()}
    groups_with: dict[Any, set[int]] = {}
    names = []
    for key in keys:
        state = _state(optimizer, key)
        shape = next((tuple(x.shape) for x in state.values() if getattr(x, "ndim", 0)), None)
        groups_with.setdefault(shape, set()).add(group_of[key])
        if shape is None or not left.get(shape) or len(groups_with[shape]) > 1:
            raise InputError(
                f"{len(optimizer['param_groups'])} param groups without names, and their shapes do "
                "not tell which parameter is which: save the optimizer with named_parameters()"
            )
        names.append(left[shape].pop(0))
    return names


def moved(state: Any, empty: Any, taken: int, velocity: float) -> Any:
    """Turns the state of an optimizer of `conventions.torch` into that of `train`'s optimizer.

    Args:
      state: the state.
      empty: the state of `train`'s optimizer before its first step.
      taken: the number of steps that its schedule has taken.
      velocity: the velocity of `train`'s optimizer divided by torch's.
    """
    fields = _fields(state)
    if "trace" in fields:
        fields["trace"] = jax.tree.map(
            lambda v: v * jnp.asarray(velocity, v.dtype), fields["trace"]
        )

    def fill(record: Any) -> Any:
        if not _is_record(record):
            return record
        new = {name: fields[name] for name in record._fields if name in fields}
        if "count" in record._fields:
            # Adam may have taken fewer steps than its schedule, so the counts may differ.
            own = isinstance(record, optax.ScaleByScheduleState) or "mu" not in record._fields
            new["count"] = jnp.asarray(taken if own else fields["count"], jnp.int32)
        return record._replace(**new)

    return jax.tree.map(fill, empty, is_leaf=_is_record)


def _is_record(node: Any) -> bool:
    return hasattr(node, "_fields")


def _fields(state: Any) -> dict[str, Any]:
    """The fields of a state's records, by name; a count is the one of the moments."""
    records = [x for x in jax.tree.leaves(state, is_leaf=_is_record) if _is_record(x)]
    records.sort(key=lambda record: "mu" in record._fields)
    return {name: getattr(record, name) for record in records for name in record._fields}
