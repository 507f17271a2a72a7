"""The symbols of a step's inputs: letters, and which counts are equal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp

from jaxopt_notes.microscope.equations import letters
from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.formulas import AT
from jaxopt_notes.microscope.equations.graph import Graph
from jaxopt_notes.microscope.equations.outcomes import Inputs, Outcome
from jaxopt_notes.microscope.equations.tracing import Program


class Names:
    """The symbols of inputs, and which counts are equal."""

    def __init__(
        self, graph: Graph, program: Program, inputs: Inputs, outcomes: Sequence[Outcome]
    ) -> None:
        self.symbols: dict[int, sp.Expr] = {}
        self.slots = [""] * len(program.slots)
        self.constants: dict[str, float] = {}
        self.wordless: dict[str, str] = {}
        named = letters.of_hyperparameters(program.hyperparameters, program.settings)
        self.used = graph.below([i for o in outcomes for i in (*o.updates, *o.state)])
        for name, i in inputs.hp.items():
            self.symbols[i] = ops.symbol(named[name])
            if i in self.used:
                self.constants[named[name]] = program.hyperparameters[name]
        self.hyperparameters = named
        for leaf, (g, p) in enumerate(zip(inputs.grads, inputs.params)):
            self.symbols[g], self.symbols[p] = (ops.symbol(f"{x}{AT}{leaf}") for x in "gθ")
        self.steps = [
            _step_of(graph, i, [o.state[k] for o in outcomes], program.slots[k])
            for k, i in enumerate(inputs.slots)
        ]
        self._name_slots(program, inputs, outcomes)
        for name, letter in named.items():  # such as an accumulator's initial value
            self.constants.setdefault(letter, program.hyperparameters[name])
        self.schedules = letters.of_schedules(program.schedules, program.settings)

    def _name_slots(self, program: Program, inputs: Inputs, outcomes: Sequence[Outcome]) -> None:
        taken: dict[int | None, set[str]] = {None: {*self.constants, "g", "θ"}}
        counts: dict[Any, str] = {}
        for k, (slot, i) in enumerate(zip(program.slots, inputs.slots)):
            own = taken.setdefault(slot.leaf, set())
            still = all(o.state[k] == i for o in outcomes)
            key = (
                (
                    self.steps[k],
                    slot.leaf,
                    None if slot.initial is None else float(np.asarray(slot.initial).ravel()[0]),
                )
                if self.steps[k]
                else None
            )
            if key in counts:
                letter = counts[key]
            elif still and slot.leaf is None and np.ndim(slot.initial) == 0:
                letter = self._constant(slot, own)
            else:
                letter = letters.of_slot(slot, own | taken[None])
            if key:
                counts[key] = letter
            own.add(letter)
            self.slots[k] = letter
            at = "" if slot.leaf is None else f"{AT}{slot.leaf}"
            self.symbols[i] = ops.symbol(letter + at)

    def _constant(self, slot: Any, own: set[str]) -> str:
        """A number that never changes in the state, such as an injected hyperparameter."""
        named = letters.of_hyperparameters([slot.field], [slot.field])[slot.field]
        letter = named if named not in own else letters.of_slot(slot, own)
        if slot.initial is not None and np.asarray(slot.initial).dtype.kind in "fiub":
            self.constants[letter] = float(slot.initial)
        return letter


def _step_of(graph: Graph, old: int, new: Sequence[int], slot: Any) -> tuple[str, ...]:
    """How a whole number that only counts changes in each regime: "next", "same", "reset"."""
    if slot.initial is None or np.asarray(slot.initial).dtype.kind not in "iu" or slot.leaf:
        return ()
    moves = []
    for i in new:
        node = graph.nodes[i]
        if i == old:
            moves.append("same")
        elif node.op == "add" and old in node.args and 1 in map(graph.constant, node.args):
            moves.append("next")
        elif graph.constant(i) == 0:
            moves.append("reset")
        else:
            return ()
    return tuple(moves) if "next" in moves else ()
