"""The program of one step as a graph: every value once, guards and constants folded.

A value has a place: the parameter array that it belongs to and the axes that it has of it. A number
has none. `read` builds the graph from a traced program; `formulas` turns it into equations.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


class UnreadableError(Exception):
    """The program does something that has no place in an equation here; says what."""


class Node(NamedTuple):
    """One operation: its name, its arguments' numbers in the graph, and what else it needs."""

    op: str
    args: tuple[int, ...] = ()
    param: Any = None


class Place(NamedTuple):
    """The array that a value belongs to (None: a scalar) and which of its axes it has, in order.

    None among the axes stands for an axis of length 1; `FLAT` for all elements in one row.
    """

    leaf: int | None = None
    axes: tuple[int | None, ...] = ()


SCALAR = Place()
FLAT = (-1,)
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


class Graph:
    """Values by number. Equal operations on equal values are one value.

    Attributes:
      nodes: the operation of each value.
      places: where each value belongs.
      sizes: the number of elements of each parameter array.
      facts: predicates that are taken to be true or false.
      remarks: what was folded away, in words.
    """

    def __init__(self, shapes: list[tuple[int, ...]]) -> None:
        self.nodes: list[Node] = []
        self.places: list[Place] = []
        self.shapes = shapes
        self.facts: dict[int, bool] = {}
        self.remarks: dict[str, None] = {}
        self._numbers: dict[tuple[Node, Place], int] = {}

    def number(self, value: float | int | bool) -> int:
        """A constant."""
        return self._intern(Node("number", (), value), SCALAR)

    def constant(self, i: int) -> Any:
        """The value's number, if it is one, else None."""
        return self.nodes[i].param if self.nodes[i].op == "number" else None

    def leaf(self, op: str, param: Any, place: Place) -> int:
        """An input: a gradient, a parameter, a slot of the state, a hyperparameter."""
        return self._intern(Node(op, (), param), place)

    def add(self, op: str, *args: int, param: Any = None, place: Place | None = None) -> int:
        """The value of an operation, folded as far as it goes."""
        folded = self._fold(op, args, param)
        if folded is not None:
            return folded
        if place is None:
            place = self.common_place(args)
        i = self._intern(Node(op, args, param), place)
        return self.number(self.facts[i]) if i in self.facts else i

    def common_place(self, args: tuple[int, ...]) -> Place:
        """The place of values that are combined element by element."""
        place = SCALAR
        for other in {self.places[a] for a in args} - {SCALAR}:
            place = other if place == SCALAR else _merged(place, other)
        return place

    def _intern(self, node: Node, place: Place) -> int:
        # 1, 1.0 and True are equal in Python, and are not the same value here.
        key = (node._replace(param=(type(node.param), node.param)), place)
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(node)
            self.places.append(place)
        return self._numbers[key]

    def _fold(self, op: str, args: tuple[int, ...], param: Any) -> int | None:
        values = [self.constant(a) for a in args]
        if op in COMPARISONS and None not in values:
            return self.number(bool(COMPARISONS[op](*values)))
        if op == "ne" and values[1] is False:  # a predicate, compared with False
            return args[0]
        if op == "lt" and _is(values[1], 0) and self.nodes[args[0]].op == "rem":
            return self.number(False)  # only counts are divided so, which are not negative
        if op in ("eq", "ne") and self._tests_finite(op, args, values):
            self.remarks["what it does with infinities and NaN is left out"] = None
            return self.number(False)
        if op in _ARITHMETIC and None not in values and _plain(values):
            return self.number(_ARITHMETIC[op](*values))
        if op == "div" and None not in values and values[1]:
            return self.number(values[0] / values[1])
        if op == "rem" and None not in values and values[1]:
            return self.number(math.fmod(values[0], values[1]))
        if op == "neg" and None not in values:
            return self.number(-values[0])
        if op in ("and", "or"):
            return self._fold_logic(op, args, values)
        if op == "not" and values[0] is not None:
            return self.number(not values[0])
        if op == "indicator" and values[0] is not None:
            return self.number(int(values[0]))
        if op == "select":
            return self._fold_select(*args)
        if op == "max" and _is(values[0], 0) and self.nodes[args[1]].op == "sign":
            (x,) = self.nodes[args[1]].args
            return self.add("indicator", self.add("gt", x, self.number(0)))
        if op == "mul" and args[0] == args[1]:
            return self.add("pow", args[0], self.number(2))
        if op == "pow" and _is(values[1], 2) and self.nodes[args[0]].op == "abs":
            return self.add("pow", *self.nodes[args[0]].args, args[1])
        if op == "add" and (chosen := self._chosen(*args)) is not None:
            return chosen
        return self._fold_neutral(op, args, values)

    def _tests_finite(self, op: str, args: tuple[int, ...], values: list[Any]) -> bool:
        """Whether a comparison asks for NaN (x ≠ x), or for an infinity."""
        infinite = any(isinstance(v, float) and math.isinf(v) for v in values)
        return (op == "ne" and args[0] == args[1]) or (op == "eq" and infinite)

    def _fold_neutral(self, op: str, args: tuple[int, ...], values: list[Any]) -> int | None:
        if op in ("add", "sub") and _is(values[1], 0):
            return args[0]
        if op == "add" and _is(values[0], 0):
            return args[1]
        if op in ("mul", "div", "pow") and _is(values[1], 1):
            return args[0]
        if op == "mul" and _is(values[0], 1):
            return args[1]
        if op == "mul" and (_is(values[0], 0) or _is(values[1], 0)):
            return self.number(0)
        if op == "div" and _is(values[0], 0):
            return self.number(0)
        if op == "div" and values[1] is not None:
            node = self.nodes[args[0]]
            if node.op == "sum" and self.reduced_size(args[0]) == values[1]:
                return self.add("mean", *node.args, param=node.param, place=self.places[args[0]])
        return None

    def _chosen(self, a: int, b: int) -> int | None:
        """[p] x + (1 − [p]) y, which is a choice of x or y."""
        for first, second in ((a, b), (b, a)):
            for test, x in self._factors(first):
                if self.nodes[test].op != "indicator":
                    continue
                for other, y in self._factors(second):
                    node = self.nodes[other]
                    if node.op == "sub" and node.args[1] == test and (
                            self.constant(node.args[0]) == 1):
                        return self.add("select", *self.nodes[test].args, x, y)
        return None

    def _factors(self, i: int) -> list[tuple[int, int]]:
        """Each factor of a product, with the other."""
        node = self.nodes[i]
        return [node.args, node.args[::-1]] if node.op == "mul" else []  # type: ignore[list-item]

    def reduced_size(self, i: int) -> int:
        """How many elements a sum has."""
        node = self.nodes[i]
        shape = self.shapes[self.places[node.args[0]].leaf or 0]
        return math.prod(shape[a] for a in node.param or range(len(shape)))

    def _fold_logic(self, op: str, args: tuple[int, ...], values: list[Any]) -> int | None:
        decisive = op == "or"  # the value that settles it
        if any(v is not None and bool(v) == decisive for v in values):
            return self.number(decisive)
        rest = [a for a, v in zip(args, values) if v is None]
        if not rest:
            return self.number(not decisive)
        return rest[0] if len(set(rest)) == 1 else None

    def _fold_select(self, pred: int, yes: int, no: int) -> int | None:
        if self.constant(pred) is not None:
            return yes if self.constant(pred) else no
        if yes == no:
            return yes
        test = self.nodes[pred]
        if test.op == "not":
            return self.add("select", test.args[0], no, yes)
        simpler = self.under(yes, pred, True), self.under(no, pred, False)
        if simpler != (yes, no):
            return self.add("select", pred, *simpler)
        if test.op in ("lt", "le", "ne") and self._counts_on(test, yes, no):
            self.remarks[f"counts stop at {LARGEST_COUNT} instead of overflowing"] = None
            return yes
        if test.op in ("lt", "le", "gt", "ge"):
            return self._fold_comparison(test, yes, no)
        return None

    def _counts_on(self, test: Node, yes: int, no: int) -> bool:
        limit, node = self.constant(test.args[1]), self.nodes[yes]
        enough = limit is not None and limit >= LARGEST_COUNT
        stays = no == test.args[0] or self.constant(no) == limit
        return enough and stays and node.op == "add" and test.args[0] in node.args

    def _fold_comparison(self, test: Node, yes: int, no: int) -> int | None:
        a, b = test.args if test.op in ("lt", "le") else test.args[::-1]
        if (yes, no) == (a, b):
            return self.add("min", a, b)
        if (yes, no) == (b, a):  # a ≤ b ? b : a
            return a if self._is_norm(a) and self.constant(b) == 0 else self.add("max", a, b)
        product = self.nodes[no]
        if product == Node("div", (yes, a)) and self.constant(b) == 1:
            ratio = self.add("min", self.number(1), self.add("div", self.number(1), a))
            return self.add("mul", yes, ratio)
        if product.op == "mul" and b in product.args:  # |g| < c ? g : (g / |g|) c
            (scaled,) = [x for x in product.args if x != b] or [b]
            if self.nodes[scaled] == Node("div", (yes, a)):
                ratio = self.add("min", self.number(1), self.add("div", b, a))
                return self.add("mul", yes, ratio)
        return None

    def _is_norm(self, i: int) -> bool:
        return self.nodes[i].op == "sqrt"

    def under(self, i: int, pred: int, fact: bool) -> int:
        """The value where a predicate is true, or false."""
        if not any(self.nodes[j].op == "select" and self.nodes[j].args[0] == pred
                   for j in self.below([i])):
            return i
        done: dict[int, int] = {}
        for j in sorted(self.below([i])):  # arguments come before their users
            node = self.nodes[j]
            if node.op == "select" and node.args[0] == pred:
                done[j] = done[node.args[1 if fact else 2]]
            elif all(done[a] == a for a in node.args):
                done[j] = j
            else:
                new = [done[a] for a in node.args]
                done[j] = self.add(node.op, *new, param=node.param, place=self.places[j])
        return done[i]

    def below(self, roots: list[int]) -> set[int]:
        """The values that the roots are made of, themselves included."""
        seen: set[int] = set()
        waiting = list(roots)
        while waiting:
            i = waiting.pop()
            if i not in seen:
                seen.add(i)
                waiting += self.nodes[i].args
        return seen

    def operands(self, i: int, *ops: str) -> Iterator[Node]:
        """The operations of these names below a value."""
        return (self.nodes[j] for j in self.below([i]) if self.nodes[j].op in ops)


def _merged(a: Place, b: Place) -> Place:
    """The place of two values that are combined, an axis of length 1 with any other."""
    fits = a.leaf == b.leaf and len(a.axes) == len(b.axes)
    if not fits or any(x != y and None not in (x, y) for x, y in zip(a.axes, b.axes)):
        raise UnreadableError("values of different arrays are combined element by element")
    return Place(a.leaf, tuple(y if x is None else x for x, y in zip(a.axes, b.axes)))


def _is(value: Any, number: int) -> bool:
    return value is not None and not isinstance(value, bool) and value == number


def _plain(values: list[Any]) -> bool:
    """Whether arithmetic on them is exact enough to be done now: whole numbers, or any reals."""
    return all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)
