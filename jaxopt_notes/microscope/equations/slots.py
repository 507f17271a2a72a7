"""The arrays of an optimizer's state, each with its name and its parameter."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Slot(NamedTuple):
    """One array of an optimizer's state.

    Attributes:
      field: its name in the state; for an entry of a dict, the key.
      owner: the class that contains it.
      leaf: its parameter array; None for a number of the whole tree.
      initial: its value before the first step.
      axes: the axes of the parameter array that it has, None for each of length 1; None instead of
        a tuple if they are unknown.
    """

    field: str
    owner: str
    leaf: int | None
    initial: Any
    axes: tuple[int | None, ...] | None = ()

    def spread(self, value: Any, shape: tuple[int, ...]) -> Any:
        """The value with as many axes as a parameter array of that shape."""
        if not self.axes or all(a is None for a in self.axes):
            return np.reshape(value, ()) if np.size(value) == 1 else value
        return np.reshape(value, [n if a in self.axes else 1 for a, n in enumerate(shape)])


def slots_of(state: Any, paths: list[Any], arrays: tuple[np.ndarray, ...]) -> Any:
    """The slots of a state, for parameters at these paths."""
    for path, value in jax.tree_util.tree_flatten_with_path(state)[0]:
        leaf, start, stop = None, len(path), len(path)
        for i, own in enumerate(paths):
            at = _place_of(own, path)
            longer = stop - start if leaf is not None else 0
            if at is not None and len(own) > longer:
                leaf, start, stop = i, at, at + len(own)
        if leaf is None and len(paths) == 1 and not paths[0]:  # the parameter is not a tree
            same = jnp.shape(value) == arrays[0].shape
            leaf = 0 if same and jnp.issubdtype(value.dtype, np.floating) else None
        field = _field(path[:start]) + "".join(_field(path[stop:], "")[-1:])
        initial = _array(value)
        axes = _axes(arrays[leaf].shape, np.shape(initial)) if leaf is not None else ()
        yield Slot(field, _owner(state, path[:start]), leaf, initial, axes)


def _place_of(own: Any, path: Any) -> int | None:
    """The position of a parameter's path within the path of a state array."""
    places = range(len(path) - len(own), -1, -1)
    return next((k for k in places if own and path[k : k + len(own)] == own), None)


def _axes(shape: tuple[int, ...], part: tuple[int, ...]) -> tuple[int | None, ...] | None:
    """The axes of a parameter that a state array has; None if they are unknown."""
    if part == shape:
        return tuple(range(len(shape)))
    axes: list[int | None] = []
    for i, length in enumerate(part):
        fits = [a for a, n in enumerate(shape) if n == length and a not in axes]
        if length == 1:
            axes.append(None)
        elif i in fits and len(part) == len(shape):
            axes.append(i)
        elif len(fits) == 1 and all(a is None or a < fits[0] for a in axes):
            axes.append(fits[0])
        else:
            return None
    return tuple(axes)


def _array(value: Any) -> Any:
    try:
        return np.asarray(value)
    except TypeError:  # a random key
        return None


def _field(path: Any, otherwise: str = "s") -> str:
    for key in reversed(path):
        name = getattr(key, "name", getattr(key, "key", None))
        if isinstance(name, str):
            return name
    return otherwise


def _owner(state: Any, path: Any) -> str:
    """The innermost class with named fields on the path."""
    owner = ""
    for key in path:
        if hasattr(key, "name"):
            owner, state = type(state).__name__, getattr(state, key.name)
        else:
            state = state[getattr(key, "key", getattr(key, "idx", None))]
    return owner
