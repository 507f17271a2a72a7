"""From the parameters of torch or Keras to the tree of parameters in JAX.

torch's or Keras' values, moments or groups of the parameters are a mapping from name to value. An
arrangement says where each entry belongs in JAX's tree. It is either

    a tree of names       {"dense": {"kernel": "fc.weight", "bias": "fc.bias"}}
    a function            lambda of: {"dense": {"kernel": of["fc.weight"].T, "bias": of["fc.bias"]}}

Use the function where a value must be transposed, as Flax's kernels are. Optimizers work on each
element by itself, so one arrangement serves the parameters and their moments.

`inverse` goes back from the tree to {name: value}. To invert a function, it passes arrays of
element numbers and finds where each number arrives.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxopt_notes.errors import InputError

Arrangement = Callable[[Mapping[Any, Any]], Any] | Any
Shapes = Mapping[Hashable, tuple[int, ...] | None]  # of each of torch's parameters, where known


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
    """The arrangement of parameters that keep the other framework's names or order.

    Args:
      params: a flat dict, whose keys are the names; or a list in the framework's order.
      names: the names in that order (default: 0, 1, 2, …).
    """
    if isinstance(params, Mapping) and not any(isinstance(p, Mapping) for p in params.values()):
        return {name: name for name in params}
    if isinstance(params, (list, tuple)):
        names = range(len(params)) if names is None else names
        if len(names) != len(params):
            raise InputError(f"params has {len(params)} entries, the optimizer {len(names)}")
        return type(params)(names)
    raise InputError(
        "params is nested: pass `arrange`, which says where each of the other framework's "
        "parameters belongs"
    )


def labelling(
    arrangement: Arrangement | None,
    numbers: Mapping[Hashable, int],
    shapes: Any,
    names: Sequence[Hashable] | None = None,
) -> Callable[[Any], Any]:
    """`labels` as a function of the parameters, which decide a default arrangement."""
    if arrangement is None:
        return lambda params: labels(own_names(params, names), numbers, shapes)
    tree = labels(arrangement, numbers, shapes)
    return lambda params: tree


def labels(arrangement: Arrangement, numbers: Mapping[Hashable, int], shapes: Any) -> Any:
    """The tree of each parameter's number, such as that of its part in an `optax.partition`."""
    if not callable(arrangement):
        return arrange_by(arrangement, numbers)
    # A function may transpose or join, so it gets arrays that are filled with the number.
    filled = {name: np.full(shapes[name], number) for name, number in numbers.items()}
    return jax.tree.map(_only, arrange_by(arrangement, filled))


def _only(filled: Any) -> int:
    first, *others = np.unique(np.asarray(filled))
    if others:
        raise InputError(
            "`arrange` joins parameters into one array whose param groups, or steps taken, differ"
        )
    return int(first)


class _Piece(NamedTuple):
    """Elements of one parameter in one leaf: their positions in the leaf and in torch."""

    leaf: int
    here: Any
    there: Any


def inverse(
    arrangement: Arrangement, shapes: Shapes, params: Any
) -> Callable[[Any], dict[Hashable, np.ndarray]]:
    """The inverse of an arrangement: a function from a tree like `params` to {torch's name: array}.

    A leaf of the tree may be an `optax.MaskedNode`; the parameters in such leaves are left out.

    Args:
      arrangement: a tree of names, or a function from {name: value} to the tree.
      shapes: each parameter's shape in torch; None only where the arrangement is a tree.
      params: a tree with the structure and shapes that the arrangement makes.

    Raises:
      InputError: the arrangement does not fit `params`, or cannot be inverted because it drops,
        repeats or computes elements.

    >>> kernel = np.array([[1, 2, 3], [4, 5, 6]])
    >>> back = inverse(lambda of: [of["weight"].T], {"weight": (3, 2)}, [kernel])
    >>> print(back([kernel])["weight"])
    [[1 4]
     [2 5]
     [3 6]]
    """
    if callable(arrangement):
        return _inverse_of_function(arrangement, shapes, params)
    arrange_by(arrangement, shapes)  # checks the names
    names = jax.tree.leaves(arrangement)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"`arrange` has {twice!r} twice: one parameter in torch has one place")
    structure = _structure(params, arrangement, {n: shapes[n] for n in names})
    return lambda tree: {
        name: np.asarray(x)
        for name, x in zip(names, structure.flatten_up_to(tree))
        if not isinstance(x, optax.MaskedNode)
    }


def _structure(params: Any, arranged: Any, shapes: Mapping[Hashable, Any]) -> Any:
    """The structure of params, checked against the arranged tree, shapes included."""
    structure: Any = jax.tree.structure(params)
    if jax.tree.structure(arranged) != structure:
        raise InputError("`arrange` makes a tree with a different structure from params")
    leaves = jax.tree_util.tree_leaves_with_path(params)
    for (path, p), (name, shape) in zip(leaves, shapes.items()):
        if shape is not None and tuple(shape) != np.shape(p):
            raise InputError(
                f"params{jax.tree_util.keystr(path)} has shape {list(np.shape(p))}, but `arrange` "
                f"puts {name} of shape {list(shape)} there: transpose or reshape it in `arrange`"
            )
    return structure


def _inverse_of_function(
    arrange: Callable[..., Any], shapes: Shapes, params: Any
) -> Callable[[Any], dict[Hashable, np.ndarray]]:
    arranged = arrange_by(arrange, _element_numbers(shapes))
    arrived = list(map(np.asarray, jax.tree.leaves(arranged)))
    structure = _structure(params, arranged, {f"leaf {i}": x.shape for i, x in enumerate(arrived)})
    pieces = _pieces(arrived, shapes)

    def back(tree: Any) -> dict[Hashable, np.ndarray]:
        leaves = structure.flatten_up_to(tree)
        values = {}
        for name, parts in pieces.items():
            absent = [isinstance(leaves[piece.leaf], optax.MaskedNode) for piece in parts]
            if any(absent) and not all(absent):
                raise InputError(
                    f"{name!r} is one parameter in torch, but the optimizer steps its parts "
                    "differently here: step them alike, or split the parameter in torch"
                )
            if parts and not any(absent):
                values[name] = _joined(name, parts, leaves, shapes[name])
        return values

    return back


def _element_numbers(shapes: Shapes) -> dict[Hashable, np.ndarray]:
    """Arrays of the given shapes whose elements are numbered 0, 1, 2, … across all arrays."""
    sizes = _sizes(shapes)
    # As int32, because JAX has no 64 bits by default.
    numbers = np.arange(sum(sizes), dtype=np.int32 if sum(sizes) < 2**31 else np.int64)
    parts = np.split(numbers, np.cumsum(sizes)[:-1]) if sizes else []
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts)}


def _sizes(shapes: Shapes) -> list[int]:
    return [math.prod(shape or ()) for shape in shapes.values()]


def _pieces(arrived: list[np.ndarray], shapes: Shapes) -> dict[Hashable, list[_Piece]]:
    """The leaf of each element of each parameter, from where the element numbers arrived."""
    names, sizes = list(shapes), _sizes(shapes)
    ends = np.cumsum(sizes)
    seen = np.zeros(sum(sizes), bool)
    pieces: dict[Hashable, list[_Piece]] = {name: [] for name in names}
    for leaf, numbers in enumerate(arrived):
        with np.errstate(invalid="ignore"):  # NaN is reported below
            flat = numbers.ravel().astype(np.int64)
        known = (flat == numbers.ravel()) & (flat >= 0) & (flat < seen.size)
        if not known.all() or seen[flat].any() or np.unique(flat).size < flat.size:
            raise InputError(_NO_WAY_BACK.format(f"its leaf {leaf} repeats or computes elements"))
        seen[flat] = True
        owner = np.searchsorted(ends, flat, side="right")
        for i in np.unique(owner):
            here = np.flatnonzero(owner == i)
            pieces[names[i]].append(_Piece(leaf, here, flat[here] - (ends[i] - sizes[i])))
    if not seen.all():
        lost = names[int(np.searchsorted(ends, np.argmin(seen), side="right"))]
        raise InputError(_NO_WAY_BACK.format(f"it drops elements of {lost!r}"))
    return pieces


_NO_WAY_BACK = "`arrange` cannot be undone: {}; it may transpose, reshape, split and concatenate"


def _joined(
    name: Hashable, parts: list[_Piece], leaves: list[Any], shape: tuple[int, ...] | None
) -> np.ndarray:
    """The parameter's elements, collected from the leaves that hold them."""
    arrays = [np.asarray(leaves[piece.leaf]) for piece in parts]
    if any(array.dtype != arrays[0].dtype for array in arrays):
        dtypes = ", ".join(str(array.dtype) for array in arrays)
        raise InputError(
            f"{name!r} is one parameter in torch, but its parts here are {dtypes}: cast them to one"
        )
    value = np.empty(math.prod(shape or ()), arrays[0].dtype)
    for piece, array in zip(parts, arrays):
        value[piece.there] = array.ravel()[piece.here]
    return value.reshape(shape or ())
