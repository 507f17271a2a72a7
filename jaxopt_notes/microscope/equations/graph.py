"""The program of one step as a graph: each value once, with guards and constants folded.

A value has a place: its parameter array and which of that array's axes it has. A number has no
place. `reading` builds the graph from a traced program; `formulas` turns it into equations.
"""

import math
from collections.abc import Iterator
from typing import Any

from jaxopt_notes.microscope.equations.folding import fold
from jaxopt_notes.microscope.equations.nodes import SCALAR, Node, Place, merged


class Graph:
    """Values by number. Equal operations on equal values share one number.

    Attributes:
      nodes: the operation of each value.
      places: where each value belongs.
      shapes: the shape of each parameter array.
      facts: predicates assumed true or false.
      remarks: the folded operations, in words.
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
        """The value of an operation, folded as far as possible."""
        folded = fold(self, op, args)
        if folded is not None:
            return folded
        if place is None:
            place = self.common_place(args)
        i = self._intern(Node(op, args, param), place)
        return self.number(self.facts[i]) if i in self.facts else i

    def common_place(self, args: tuple[int, ...]) -> Place:
        """The common place of values that are combined elementwise."""
        place = SCALAR
        for other in {self.places[a] for a in args} - {SCALAR}:
            place = other if place == SCALAR else merged(place, other)
        return place

    def _intern(self, node: Node, place: Place) -> int:
        # 1, 1.0 and True are equal in Python, but they are different values here.
        key = (node._replace(param=(type(node.param), node.param)), place)
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(node)
            self.places.append(place)
        return self._numbers[key]

    def reduced_size(self, i: int) -> int:
        """The number of summed elements."""
        node = self.nodes[i]
        shape = self.shapes[self.places[node.args[0]].leaf or 0]
        return math.prod(shape[a] for a in node.param or range(len(shape)))

    def under(self, i: int, pred: int, fact: bool) -> int:
        """The value if a predicate is true, or false."""
        if not any(
            self.nodes[j].op == "select" and self.nodes[j].args[0] == pred for j in self.below([i])
        ):
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
        """The values that the roots depend on, roots included."""
        seen: set[int] = set()
        waiting = list(roots)
        while waiting:
            i = waiting.pop()
            if i not in seen:
                seen.add(i)
                waiting += self.nodes[i].args
        return seen

    def operands(self, i: int, *ops: str) -> Iterator[Node]:
        """The operations with these names below a value."""
        return (self.nodes[j] for j in self.below([i]) if self.nodes[j].op in ops)
