"""Removes operations that an equation does not need: on constants, or mere guards."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jaxopt_notes.microscope.equations.nodes import Node

if TYPE_CHECKING:
    from jaxopt_notes.microscope.equations.graph import Graph

LARGEST_COUNT = 2**31 - 1
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}
_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "max": max,
    "min": min,
}


def fold(graph: "Graph", op: str, args: tuple[int, ...]) -> int | None:
    """The existing value that equals an operation's result; None if the result is new."""
    values = [graph.constant(a) for a in args]
    if op in COMPARISONS and None not in values:
        return graph.number(bool(COMPARISONS[op](*values)))
    if op == "eq" and _excluded(graph, args):
        return graph.number(False)
    if op == "ne" and values[1] is False:  # a predicate, compared with False
        return args[0]
    if op == "lt" and _is(values[1], 0) and graph.nodes[args[0]].op == "rem":
        return graph.number(False)  # only counts are divided this way, and counts are not negative
    if op in ("eq", "ne") and _tests_finite(graph, op, args, values):
        graph.remarks["what it does with infinities and NaN is left out"] = None
        return graph.number(False)
    if op in _ARITHMETIC and None not in values and _plain(values):
        return graph.number(_ARITHMETIC[op](*values))
    if op == "div" and None not in values and values[1]:
        return graph.number(values[0] / values[1])
    if op == "rem" and None not in values and values[1]:
        return graph.number(math.fmod(values[0], values[1]))
    if op == "neg" and None not in values:
        return graph.number(-values[0])
    if op in ("and", "or"):
        return _fold_logic(graph, op, args, values)
    if op == "not" and values[0] is not None:
        return graph.number(not values[0])
    if op == "indicator" and values[0] is not None:
        return graph.number(int(values[0]))
    if op == "select":
        return _fold_select(graph, *args)
    if op == "max" and _is(values[0], 0) and graph.nodes[args[1]].op == "sign":
        (x,) = graph.nodes[args[1]].args
        return graph.add("indicator", graph.add("gt", x, graph.number(0)))
    if op == "mul" and args[0] == args[1]:
        return graph.add("pow", args[0], graph.number(2))
    if op == "pow" and _is(values[1], 2) and graph.nodes[args[0]].op == "abs":
        return graph.add("pow", *graph.nodes[args[0]].args, args[1])
    if op == "add" and (chosen := _chosen(graph, *args)) is not None:
        return chosen
    return _fold_neutral(graph, op, args, values)


def _excluded(graph: "Graph", args: tuple[int, ...]) -> bool:
    """Whether a value that is assumed to equal one number is compared with another number."""
    x, other = args
    for pred, fact in graph.facts.items():
        node = graph.nodes[pred]
        if fact and node.op == "eq" and node.args[0] == x:
            numbers = graph.constant(node.args[1]), graph.constant(other)
            if None not in numbers and numbers[0] != numbers[1]:
                return True
    return False


def _tests_finite(graph: "Graph", op: str, args: tuple[int, ...], values: list[Any]) -> bool:
    """Whether a comparison tests for NaN (x ≠ x), or for an infinity."""
    infinite = any(isinstance(v, float) and math.isinf(v) for v in values)
    return (op == "ne" and args[0] == args[1]) or (op == "eq" and infinite)


def _fold_neutral(graph: "Graph", op: str, args: tuple[int, ...], values: list[Any]) -> int | None:
    if op in ("add", "sub") and _is(values[1], 0):
        return args[0]
    if op == "add" and _is(values[0], 0):
        return args[1]
    if op in ("mul", "div", "pow") and _is(values[1], 1):
        return args[0]
    if op == "mul" and _is(values[0], 1):
        return args[1]
    if op == "mul" and (_is(values[0], 0) or _is(values[1], 0)):
        return graph.number(0)
    if op == "div" and _is(values[0], 0):
        return graph.number(0)
    if op == "div" and values[1] is not None:
        node = graph.nodes[args[0]]
        if node.op == "sum" and graph.reduced_size(args[0]) == values[1]:
            return graph.add("mean", *node.args, param=node.param, place=graph.places[args[0]])
    return None


def _chosen(graph: "Graph", a: int, b: int) -> int | None:
    """[p] x + (1 − [p]) y, which is a choice of x or y."""
    for first, second in ((a, b), (b, a)):
        for test, x in _factors(graph, first):
            if graph.nodes[test].op != "indicator":
                continue
            for other, y in _factors(graph, second):
                node = graph.nodes[other]
                if (
                    node.op == "sub"
                    and node.args[1] == test
                    and (graph.constant(node.args[0]) == 1)
                ):
                    return graph.add("select", *graph.nodes[test].args, x, y)
    return None


def _factors(graph: "Graph", i: int) -> list[tuple[int, int]]:
    """Each factor of a product, with the other factor."""
    node = graph.nodes[i]
    return [node.args, node.args[::-1]] if node.op == "mul" else []  # type: ignore[list-item]


def _fold_logic(graph: "Graph", op: str, args: tuple[int, ...], values: list[Any]) -> int | None:
    decisive = op == "or"  # the value that decides the result
    if any(v is not None and bool(v) == decisive for v in values):
        return graph.number(decisive)
    rest = [a for a, v in zip(args, values) if v is None]
    if not rest:
        return graph.number(not decisive)
    return rest[0] if len(set(rest)) == 1 else None


def _fold_select(graph: "Graph", pred: int, yes: int, no: int) -> int | None:
    if graph.constant(pred) is not None:
        return yes if graph.constant(pred) else no
    if yes == no:
        return yes
    test = graph.nodes[pred]
    if test.op == "not":
        return graph.add("select", test.args[0], no, yes)
    simpler = graph.under(yes, pred, True), graph.under(no, pred, False)
    if simpler != (yes, no):
        return graph.add("select", pred, *simpler)
    if test.op in ("lt", "le", "ne") and _counts_on(graph, test, yes, no):
        graph.remarks[f"counts stop at {LARGEST_COUNT} instead of overflowing"] = None
        return yes
    if test.op in ("lt", "le", "gt", "ge"):
        return _fold_comparison(graph, test, yes, no)
    return None


def _counts_on(graph: "Graph", test: Node, yes: int, no: int) -> bool:
    limit, node = graph.constant(test.args[1]), graph.nodes[yes]
    enough = limit is not None and limit >= LARGEST_COUNT
    stays = no == test.args[0] or graph.constant(no) == limit
    return enough and stays and node.op == "add" and test.args[0] in node.args


def _fold_comparison(graph: "Graph", test: Node, yes: int, no: int) -> int | None:
    a, b = test.args if test.op in ("lt", "le") else test.args[::-1]
    if (yes, no) == (a, b):
        return graph.add("min", a, b)
    if (yes, no) == (b, a):  # a ≤ b ? b : a
        return a if _is_norm(graph, a) and graph.constant(b) == 0 else graph.add("max", a, b)
    product = graph.nodes[no]
    if product == Node("div", (yes, a)) and graph.constant(b) == 1:
        ratio = graph.add("min", graph.number(1), graph.add("div", graph.number(1), a))
        return graph.add("mul", yes, ratio)
    if product.op == "mul" and b in product.args:  # |g| < c ? g : (g / |g|) c
        (scaled,) = [x for x in product.args if x != b] or [b]
        if graph.nodes[scaled] == Node("div", (yes, a)):
            ratio = graph.add("min", graph.number(1), graph.add("div", b, a))
            return graph.add("mul", yes, ratio)
    return None


def _is_norm(graph: "Graph", i: int) -> bool:
    return graph.nodes[i].op == "sqrt"


def _is(value: Any, number: int) -> bool:
    return value is not None and not isinstance(value, bool) and value == number


def _plain(values: list[Any]) -> bool:
    """Whether arithmetic on the values can be done now: whole numbers, or any reals."""
    return all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)
