"""The effect of broadcasting, reshaping and transposing on the place of a value."""

from collections.abc import Callable
from typing import Any

from jaxopt_notes.microscope.equations.graph import Graph
from jaxopt_notes.microscope.equations.nodes import FLAT, SCALAR, Place, UnreadableError


def _broadcast(graph: Graph, x: int, eqn: Any) -> int:
    place = graph.places[x]
    if place == SCALAR:
        return x
    shape, dims = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    own = graph.shapes[place.leaf or 0]
    at = dict(zip(dims, place.axes))
    axes: list[int | None] = []
    for d, length in enumerate(shape):
        axis = at.get(d)
        if axis is None and length != 1:
            free = [
                a
                for a, n in enumerate(own)
                if n == length and a not in place.axes and a not in axes
            ]
            if len(free) != 1:
                raise UnreadableError("an array is repeated along an axis of its own")
            axis = free[0]
        axes.append(axis)
    return _moved(graph, x, tuple(axes))


def _reshape(graph: Graph, x: int, eqn: Any) -> int:
    place, old, new = graph.places[x], eqn.invars[0].aval.shape, eqn.outvars[0].aval.shape
    if place == SCALAR:
        return x
    own = graph.shapes[place.leaf or 0]
    if place.axes == FLAT and new == own:
        return _moved(graph, x, tuple(range(len(own))))
    wide_axes = [a for a, n in zip(place.axes, old) if n != 1]
    long = [n for n in new if n != 1]
    if [n for n in old if n != 1] == long and len(wide_axes) == len(long) and place.axes != FLAT:
        axes = iter(wide_axes)
        return _moved(graph, x, tuple(None if n == 1 else next(axes) for n in new))
    if len(new) == 1 and place.axes == tuple(range(len(own))):
        return _moved(graph, x, FLAT)
    raise UnreadableError("an array is reshaped")


def _squeeze(graph: Graph, x: int, eqn: Any) -> int:
    place = graph.places[x]
    if place == SCALAR:
        return x
    dims = eqn.params["dimensions"]
    return _moved(graph, x, tuple(a for i, a in enumerate(place.axes) if i not in dims))


def _transpose(graph: Graph, x: int, eqn: Any) -> int:
    place = graph.places[x]
    if place == SCALAR:
        return x
    return _moved(graph, x, tuple(place.axes[i] for i in eqn.params["permutation"]))


def _expand(graph: Graph, x: int, eqn: Any) -> int:
    return _reshape(graph, x, eqn)


def _moved(graph: Graph, x: int, axes: tuple[int | None, ...]) -> int:
    """The elements with rearranged axes."""
    place = graph.places[x]
    if axes == place.axes:
        return x
    node = graph.nodes[x]
    if node.op == "arranged" and graph.places[node.args[0]].axes == axes:
        return node.args[0]
    if all(a is None for a in axes):
        return graph.add("arranged", x, param=axes, place=SCALAR)
    return graph.add("arranged", x, param=axes, place=Place(place.leaf, axes))


SHAPES: dict[str, Callable[[Graph, int, Any], int]] = {
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "transpose": _transpose,
    "expand_dims": _expand,
}
