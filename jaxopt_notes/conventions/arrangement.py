"""From the parameters of torch or Keras to the tree that JAX keeps them in.

What they hold for each parameter (its value, its moments, its group) is a mapping from name to
value. An arrangement says where each belongs in JAX's tree, and is one of

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


def own_names(params: Any, names: Sequence[Hashable] | None = None) -> Any:
    """The arrangement of parameters that are kept as the other framework names or orders them.

    Args:
      params: a flat dict, whose keys are the names; or a list in the framework's order.
      names: the names in that order; as a default 0, 1, 2, ….
    """
    if isinstance(params, Mapping) and not any(isinstance(p, Mapping) for p in params.values()):
        return {name: name for name in params}
    if isinstance(params, (list, tuple)):
        names = range(len(params)) if names is None else names
        if len(names) != len(params):
            raise InputError(f"params has {len(params)} entries, the optimizer {len(names)}")
        return type(params)(names)
    raise InputError(
        "params is nested: say by `arrange` which of the other framework's parameters goes where"
    )


def labelling(
    arrangement: Arrangement | None,
    numbers: Mapping[Hashable, int],
    shapes: Any,
    names: Sequence[Hashable] | None = None,
) -> Callable[[Any], Any]:
    """`labels` as a function of the parameters: an arrangement that is left out depends on them."""
    if arrangement is None:
        return lambda params: labels(own_names(params, names), numbers, shapes)
    tree = labels(arrangement, numbers, shapes)
    return lambda params: tree


def labels(arrangement: Arrangement, numbers: Mapping[Hashable, int], shapes: Any) -> Any:
    """The tree of each parameter's number, such as that of its part in an `optax.partition`."""
    if not callable(arrangement):
        return arrange_by(arrangement, numbers)
    # A function may transpose or join: it is shown arrays that are filled with the number.
    filled = {name: np.full(shapes[name], number) for name, number in numbers.items()}
    return jax.tree.map(_only, arrange_by(arrangement, filled))


def _only(filled: Any) -> int:
    first, *others = np.unique(np.asarray(filled))
    if others:
        raise InputError(
            "`arrange` joins parameters into one array whose param groups, or steps taken, differ"
        )
    return int(first)
