"""From torch's list of parameters to the tree that JAX keeps them in.

What torch holds for its parameters (values, moments, the group each is in) is a mapping from name
to value. An arrangement says where each belongs in JAX's tree, and is one of

    a tree of names       {"dense": {"kernel": "fc.weight", "bias": "fc.bias"}}
    a function            lambda of: {"dense": {"kernel": of["fc.weight"].T, "bias": of["fc.bias"]}}

the function where a value must be transposed on the way, as Flax's kernels are. Optimizers work on
each element by itself, so what arranges the parameters arranges their moments.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxopt_notes.errors import InputError

Arrangement = Callable[[Mapping[Any, Any]], Any] | Any


def names_of(groups: Sequence[Mapping[str, Any]], names: Sequence[str] | None) -> list[Hashable]:
    """The parameters' names: as given, or as torch was told them, or else 0, 1, 2, …"""
    count = sum(len(group["params"]) for group in groups)
    if names is None:
        named = all("param_names" in group for group in groups)
        return [n for g in groups for n in g["param_names"]] if named else list(range(count))
    if len(names) != count:
        raise InputError(f"names has {len(names)} entries, the optimizer {count} parameters")
    return list(names)


def arrange_by(arrangement: Arrangement, values: Mapping[Hashable, Any]) -> Any:
    """The tree of the values."""
    try:
        if callable(arrangement):
            return arrangement(values)
        used = jax.tree.map(lambda name: values[name], arrangement)
    except KeyError as missing:
        known = ", ".join(map(repr, values))
        raise InputError(f"no parameter is named {missing}; the names are {known}") from None
    spare = [name for name in values if name not in jax.tree.leaves(arrangement)]
    if spare:
        raise InputError(f"the arrangement leaves out the parameter {spare[0]!r}")
    return used


def own_names(params: Any) -> Any:
    """The arrangement of parameters that are kept as torch names or counts them."""
    if isinstance(params, Mapping) and not any(isinstance(p, Mapping) for p in params.values()):
        return {name: name for name in params}
    if isinstance(params, (list, tuple)):
        return type(params)(range(len(params)))
    raise InputError("params is nested: say by `arrange` which of torch's parameters goes where")


def labels(arrangement: Arrangement, groups: Mapping[Hashable, int], shapes: Any) -> Any:
    """The tree of each parameter's group, for `optax.partition`."""
    if not callable(arrangement):
        return arrange_by(arrangement, groups)
    # A function may transpose or join: it is shown arrays that are filled with the group.
    filled = {name: np.full(shapes[name], group) for name, group in groups.items()}
    return jax.tree.map(_only, arrange_by(arrangement, filled))


def _only(filled: Any) -> int:
    first, *others = np.unique(np.asarray(filled))
    if others:
        raise InputError("`arrange` joins parameters of different param groups into one array")
    return int(first)
