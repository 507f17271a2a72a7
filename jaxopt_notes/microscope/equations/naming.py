"""Names values that a step uses more than once, and orders its lines."""

from collections.abc import Iterable, Sequence
from typing import Any

import sympy as sp

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.formulas import AT, Writer
from jaxopt_notes.microscope.equations.graph import Graph
from jaxopt_notes.microscope.equations.nodes import SCALAR

SCALARS = "ρσφψω"
_LETTERS = "rqwzxyahbd"
_SMALL = 1  # most operations of a formula that needs no name
_PLAIN = {"number", "gradient", "parameter", "slot", "hp", "table", "schedule", "arranged"}


def intermediates(
    graph: Graph, writer: Writer, roots: Sequence[int], leaves: int
) -> list[tuple[int, sp.Symbol]]:
    """Names the array values that are used at least twice; returns the names by value number."""
    users = _users(graph, roots)
    taken = {str(s).partition(AT)[0].removesuffix(ops.NEW) for s in writer.inputs.values()}
    taken |= {str(s).partition(AT)[0].removesuffix(ops.NEW) for s in writer.names.values()}
    spare = [letter for letter in _LETTERS if letter not in taken]
    spare += [f"{letter}{n}" for n in "₂₃₄₅₆₇₈₉" for letter in spare]
    scalars = [f"{letter}{n}" for n in ("", *"₂₃₄₅₆₇₈₉") for letter in SCALARS]
    order: dict[int | None, int] = {}
    named = []
    for i in sorted(users):
        leaf = graph.places[i].leaf
        reduced = leaf is None and any(graph.operands(i, "sum", "mean", "largest", "all"))
        if reduced:
            leaf = only_leaf(graph, writer, i)
        if users[i] < 2 or i in writer.names or graph.nodes[i].op in _PLAIN:
            continue
        small = _SMALL if leaf is not None or reduced else 3 * _SMALL
        if _size(graph, writer, i) <= small:
            continue
        if leaf is None:  # scalars first, so arrays' letters come after them
            leaf = -1
        at = order.get(leaf, 0)
        order[leaf] = at + 1
        letter = spare[at] if leaf >= 0 else scalars[at]
        name = ops.symbol(letter if leaf < 0 else f"{letter}{AT}{leaf}")
        named.append((i, name))
        writer.names[i] = name
    return named


def _users(graph: Graph, roots: Sequence[int]) -> dict[int, int]:
    """How often each value is used for one array; a shared value counts once for each array."""
    by_leaf: dict[int, dict[int | None, int]] = {}

    def use(a: int, leaf: int | None) -> None:
        counts = by_leaf.setdefault(a, {})
        counts[leaf] = counts.get(leaf, 0) + 1

    for i in graph.below(list(roots)):
        for a in set(graph.nodes[i].args):
            use(a, graph.places[i].leaf)
    for i in roots:
        use(i, graph.places[i].leaf)
    return {
        a: counts.pop(None, 0) + max(counts.values(), default=0) for a, counts in by_leaf.items()
    }


def only_leaf(graph: Graph, writer: Writer, i: int) -> int | None:
    """The only array that a number depends on; None if there are several."""
    leaves = set()
    for j in writer.until_names(i):
        known = writer.names.get(j, writer.inputs.get(j))
        if known is not None:
            leaves |= {s.name.partition(AT)[2] for s in known.free_symbols if AT in s.name}
    return int(leaves.pop()) if len(leaves) == 1 else None


def _size(graph: Graph, writer: Writer, root: int) -> int:
    """The number of operations of a formula, down to named values; a norm counts as 0."""
    norm = ("sqrt", "sum", "mean", "pow", "add") if graph.places[root] == SCALAR else ()
    return sum(
        1
        for i in writer.until_names(root)
        if i not in writer.names and graph.nodes[i].op not in (*_PLAIN, *norm)
    )


def ordered(lines: Iterable[Any]) -> list[Any]:
    """The lines in an order of computation that reads old values before they are replaced."""
    rank = {"count": 0, "schedule": 1, "value": 2, "state": 2, "parameter": 4}
    waiting = sorted(lines, key=lambda line: rank[line.kind])
    done: list[Any] = []
    while waiting:
        for line in waiting:
            others = [o for o in waiting if o is not line]
            if not _waits(line, others):
                break
        else:  # a cycle: some line reads an old value after it is replaced
            line = next(
                o
                for o in waiting
                if not any(x.target in o.expr.free_symbols for x in waiting if x is not o)
            )
            _read_old_values(waiting, line)
        waiting.remove(line)
        done.append(line)
    return done


def _read_old_values(waiting: list[Any], first: Any) -> None:
    """Marks the values that other lines read after `first` has replaced them."""
    name = first.target.name.removesuffix(ops.NEW)
    old = {ops.symbol(name): ops.symbol(name + ops.OLD)}
    for i, line in enumerate(waiting):
        if line is not first:
            waiting[i] = line._replace(expr=line.expr.xreplace(old))


def _waits(line: Any, others: list[Any]) -> bool:
    """Whether a line needs another line's value, or replaces a value that the other reads."""
    needs = any(o.target in line.expr.free_symbols for o in others)
    old = ops.symbol(line.target.name.removesuffix(ops.NEW))
    replaced = line.target != old and any(old in o.expr.free_symbols for o in others)
    return needs or replaced
