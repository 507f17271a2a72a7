"""The outcomes of a step, one for each combination of the conditions on the whole step."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxopt_notes.microscope.equations.graph import Graph
from jaxopt_notes.microscope.equations.nodes import SCALAR, Place
from jaxopt_notes.microscope.equations.reading import Reader
from jaxopt_notes.microscope.equations.slots import Slot
from jaxopt_notes.microscope.equations.tracing import Program

_REGIMES = 3  # the most conditions in sequence


class Outcome(NamedTuple):
    """The values of a step under given facts."""

    facts: dict[int, bool]
    updates: list[int]
    state: list[int]


class Inputs:
    """The numbers of the program's inputs in the graph."""

    def __init__(self, graph: Graph, program: Program) -> None:
        def place(leaf: int | None) -> Place:
            if leaf is None:
                return SCALAR
            return Place(leaf, tuple(range(program.params[leaf].ndim)))

        many = range(len(program.params))
        # The flattened dict of hyperparameters is in the order of their sorted names.
        self.hp = {k: graph.leaf("hp", k, SCALAR) for k in sorted(program.hyperparameters)}
        self.grads = [graph.leaf("gradient", i, place(i)) for i in many]
        self.params = [graph.leaf("parameter", i, place(i)) for i in many]
        self.slots = [slot_number(graph, k, s) for k, s in enumerate(program.slots)]
        self.unsized = [
            k
            for k, s in enumerate(program.slots)
            if s.axes is None or (s.leaf is None and np.ndim(s.initial))
        ]

    def all(self) -> list[int]:
        """The inputs in the program's order."""
        return [*self.hp.values(), *self.grads, *self.slots, *self.params]


def outcomes(graph: Graph, reader: Reader, program: Program, inputs: Inputs) -> list[Outcome]:
    """The step's outcomes, one for each combination of its conditions."""
    closed = program.jaxpr
    if inputs.unsized:
        reader.unread["the state has arrays that are not of a parameter's shape"] = None

    def explore(facts: dict[int, bool]) -> list[Outcome]:
        graph.facts = facts
        out = reader.read(closed.jaxpr, closed.consts, inputs.all())
        n = len(program.params)
        outcome = Outcome(facts, out[:n], out[n:])
        pred = _undecided(graph, out)
        if pred is None or len(facts) >= _REGIMES:
            return [outcome]
        return explore(facts | {pred: True}) + explore(facts | {pred: False})

    paths = explore({})
    graph.facts = {}
    return paths


def _undecided(graph: Graph, outputs: Sequence[int]) -> int | None:
    """A condition on the whole step that selects an output."""
    tests: list[int] = []
    for i in outputs:
        node = graph.nodes[i]
        tests += [node.args[0]] if node.op == "select" else []
        if node.op == "mul":
            tests += [graph.nodes[a].args[0] for a in node.args if graph.nodes[a].op == "indicator"]
    able = [
        test
        for test in tests
        if graph.places[test] == SCALAR and not any(graph.operands(test, "unknown", "table", "hp"))
    ]
    return min(able, default=None)  # the first that the program computes


def slot_number(graph: Graph, k: int, slot: Slot) -> int:
    """The value of a slot before the step."""
    whole = slot.leaf is not None and slot.axes and any(a is not None for a in slot.axes)
    return graph.leaf("slot", k, Place(slot.leaf, slot.axes or ()) if whole else SCALAR)
