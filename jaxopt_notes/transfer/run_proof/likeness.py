"""Describes how an array differs from the expected one: zero, transposed, scaled, …."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.conventions.torch_state import SLOTS

_SLOTS = set(SLOTS.values())
_NARROWER = ("bfloat16", "float16", "float32")
Named = Mapping[str, np.ndarray]


def differences(what: str, ours: Named, of_torch: Named) -> list[str]:
    """Sentences on the differences, one for all arrays that differ in the same way.

    Args:
      what: the term for the arrays in the sentences, such as "mu of".
      ours: name → array.
      of_torch: name → the expected array.

    >>> there = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 5.0])}
    >>> differences("mu of", {"a": 0.1 * there["a"], "b": there["a"]}, there)
    ["mu of 'a' is 0.1 times torch's", "mu of 'b' is torch's of 'a'"]
    """
    by_words: dict[str, list[str]] = {}
    for name, array in ours.items():
        if name in of_torch and not np.array_equal(array, of_torch[name], equal_nan=True):
            by_words.setdefault(likeness(array, name, of_torch), []).append(name)
    return [f"{what} {_listed(names)} {words}".strip() for words, names in by_words.items()]


def likeness(ours: np.ndarray, name: str, of_torch: Named) -> str:
    """How an array differs from the expected `theirs[name]`."""
    right = of_torch[name]
    if not np.any(ours):
        return "is 0, and torch's is not"
    for other, array in of_torch.items():
        if other != name and np.array_equal(ours, array):
            return f"is torch's of {other!r}"
    if ours.ndim == 2 and np.array_equal(ours, right.T):
        return "is torch's transposed"
    wide, there = ours.astype(np.float64), right.astype(np.float64)
    for dtype in _NARROWER:
        with np.errstate(over="ignore"):
            if np.array_equal(wide, right.astype(jnp.dtype(dtype)).astype(np.float64)):
                return f"is torch's rounded to {dtype}"
    moved = there != 0
    ratios = wide[moved] / there[moved]
    middle = float(np.median(ratios)) if ratios.size else np.nan
    if np.allclose(wide, middle * there, rtol=1e-5, atol=0.0):
        return f"is {middle:.4g} times torch's"
    return "differs from torch's"


def state_hints(expected: Any, state: Any, params: Any, paths: Sequence[str]) -> list[str]:
    """The differences between two states of optax's classes, by field.

    Args:
      expected: the state that `translate_state` makes from torch's.
      state: the state to compare.
      params: the parameters.
      paths: the names of their leaves.
    """
    there, here = _fields(expected, params, paths), _fields(state, params, paths)
    lines = []
    for field in there:
        if field not in here:
            lines.append(f"it has no {field}, which torch's optimizer has")
        else:
            lines += differences(f"{field} of", here[field], there[field])
    counts, ours = _counts(expected), _counts(state)
    lines += [
        f"the count of {kind} is {_numbers(ours[kind])}, and torch's is {_numbers(of)}"
        for kind, of in counts.items()
        if kind in ours and ours[kind] != of
    ]
    return lines


def _nodes(state: Any) -> list[Any]:
    """The nodes of a state that have accumulators or a count."""

    def known(node: Any) -> bool:
        return bool({*_SLOTS, "count"} & set(getattr(node, "_fields", ())))

    nodes = []
    for node in jax.tree.leaves(state, is_leaf=known):
        if known(node):
            inside = [x for name, x in zip(node._fields, node) if name not in _SLOTS]
            nodes += [node, *_nodes(inside)]
    return nodes


def _fields(state: Any, params: Any, paths: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Accumulator → leaf → array, of all parts of a partition together."""
    structure: Any = jax.tree.structure(params)
    fields: dict[str, dict[str, np.ndarray]] = {}
    for node in _nodes(state):
        for field in _SLOTS & set(node._fields):
            with contextlib.suppress(ValueError):  # a tree of another structure
                leaves = structure.flatten_up_to(getattr(node, field))
                arrays = {p: np.asarray(x) for p, x in zip(paths, leaves) if hasattr(x, "dtype")}
                fields.setdefault(field, {}).update(arrays)
    return fields


def _counts(state: Any) -> dict[str, set[int]]:
    counts: dict[str, set[int]] = {}
    for node in _nodes(state):
        if "count" in node._fields:
            counts.setdefault(type(node).__name__, set()).add(int(node.count))
    return counts


def _numbers(of: Iterable[int]) -> str:
    return " and ".join(map(str, sorted(of)))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
