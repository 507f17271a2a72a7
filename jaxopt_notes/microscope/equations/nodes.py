"""The elements of a graph: operations, and the places of their values."""

from typing import Any, NamedTuple


class UnreadableError(Exception):
    """The program does something that these equations cannot express; the message says what."""


class Node(NamedTuple):
    """One operation: its name, its arguments' numbers in the graph, and its settings."""

    op: str
    args: tuple[int, ...] = ()
    param: Any = None


class Place(NamedTuple):
    """A value's array (None for a scalar) and which of the array's axes it has, in order.

    None among the axes stands for an axis of length 1; `FLAT` for all elements in one row.
    """

    leaf: int | None = None
    axes: tuple[int | None, ...] = ()


SCALAR = Place()
FLAT = (-1,)


def merged(a: Place, b: Place) -> Place:
    """The place of two combined values; an axis of length 1 combines with any other."""
    fits = a.leaf == b.leaf and len(a.axes) == len(b.axes)
    if not fits or any(x != y and None not in (x, y) for x, y in zip(a.axes, b.axes)):
        raise UnreadableError("values of different arrays are combined element by element")
    return Place(a.leaf, tuple(y if x is None else x for x, y in zip(a.axes, b.axes)))
