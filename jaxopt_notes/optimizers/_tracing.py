"""Maps a function of one leaf over a tree's leaves, tracing it once for each kind of leaf."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import jax

BLOCK = 16  # leaves; a larger block needs fewer calls and takes longer to trace
FEWEST = 4 * BLOCK  # leaves of one kind from which blocks pay


def map_traced(step: Callable[..., Any], *, called: bool) -> Callable[..., list[Any]]:
    """Turns `step(row, *shared)` into (rows, *shared) -> [step(row, *shared) for each row].

    Args:
      step: a function of one leaf's arrays and of the values that all leaves share.
      called: trace `step` once for all rows of equal shapes and dtypes, and call it for each. False
        traces it for each row: for one or two operations a call costs as much.

    >>> double = map_traced(lambda row: 2 * row[0], called=True)
    >>> print(double([(1.0,), (3.0,)]))
    [Array(2., dtype=float32, weak_type=True), Array(6., dtype=float32, weak_type=True)]
    """

    def in_place(row: Any, *shared: Any) -> Any:
        # jnp's functions are jitted. Tracing each again for each shape would take half of the whole
        # tracing time.
        with jax.disable_jit():
            return step(row, *shared)

    one = jax.jit(in_place) if called else in_place

    @jax.jit
    def block(rows: list[Any], *shared: Any) -> list[Any]:
        return [one(row, *shared) for row in rows]

    def mapped(rows: list[Any], *shared: Any) -> list[Any]:
        results: dict[int, Any] = {}
        for places in _blocks(rows):
            if len(places) == 1:
                results[places[0]] = one(rows[places[0]], *shared)
            else:
                results |= zip(places, block([rows[i] for i in places], *shared))
        return [results[i] for i in range(len(rows))]

    return mapped


def _blocks(rows: list[Any]) -> Iterator[list[int]]:
    """The rows' indices: in blocks of BLOCK rows where many are of one kind, else one by one."""
    alike = defaultdict(list)
    for place, row in enumerate(rows):
        alike[tuple(map(jax.typeof, row))].append(place)
    for places in alike.values():
        size = BLOCK if len(places) >= FEWEST else 1
        yield from (places[i : i + size] for i in range(0, len(places), size))
