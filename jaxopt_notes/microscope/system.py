"""The equations of one step: which values it computes, under which conditions, for which arrays."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from jaxopt_notes.microscope import letters, operations as ops
from jaxopt_notes.microscope.formulas import AT, Writer, generic
from jaxopt_notes.microscope.graph import SCALAR, Graph, Place
from jaxopt_notes.microscope.naming import SCALARS, intermediates, ordered
from jaxopt_notes.microscope.readable import with_gradient, with_hats
from jaxopt_notes.microscope.reading import Reader
from jaxopt_notes.microscope.tracing import Program, Slot, schedule_label

_REGIMES = 3  # conditions that may follow each other


class Line(NamedTuple):
    """One equation.

    Attributes:
      target: what is computed; its name ends in ⁺ where a value of the step before is replaced.
      expr: the formula; of a parameter the update, which is added to it.
      kind: "count", "schedule", "value" (an intermediate one), "state", or "parameter".
    """

    target: sp.Symbol
    expr: sp.Expr
    kind: str

    @property
    def letter(self) -> str:
        """The target as it is written."""
        return self.target.name.removesuffix(ops.NEW)


class Group(NamedTuple):
    """The equations of arrays that are treated alike, in an order in which they can be computed."""

    leaves: tuple[int, ...]
    lines: tuple[Line, ...]


class Regime(NamedTuple):
    """What a step does under some conditions: each an expression that must be true, or false."""

    conditions: tuple[tuple[sp.Expr, bool], ...]
    groups: tuple[Group, ...]


class System(NamedTuple):
    """All equations of a step.

    Attributes:
      program: what they were read off.
      regimes: the cases; a single one without conditions for most optimizers.
      slots: the letter of each slot of the state ("" where no equation names it).
      constants: numbers that the equations name: hyperparameters, and what the state keeps.
      names: the arguments that the letters of the hyperparameters stand for.
      remarks: what was folded away, in words.
      narrow: the floating dtypes below float64 that the program computes in.
      unread: why some of it could not be read.
      wordless: schedules that are called, as they could not be read.
    """

    program: Program
    regimes: tuple[Regime, ...]
    slots: tuple[str, ...]
    constants: dict[str, float]
    names: dict[str, str]
    remarks: tuple[str, ...]
    narrow: frozenset[str]
    unread: tuple[str, ...]
    wordless: dict[str, str]

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every line of every case, each once."""
        lines = (line for r in self.regimes for g in r.groups for line in g.lines)
        return tuple(dict.fromkeys(lines))

    @property
    def numbers(self) -> set[str]:
        """The names of what is one number for all elements."""
        scalar = {line.letter for line in self.lines if line.kind in ("count", "schedule")}
        scalar |= {line.letter for line in self.lines if line.letter[0] in SCALARS}
        slots = zip(self.program.slots, self.slots)
        return scalar | {*self.constants} | {letter for s, letter in slots if s.leaf is None}


class _Outcome(NamedTuple):
    """The values of a step under some facts."""

    facts: dict[int, bool]
    updates: list[int]
    state: list[int]


def read_system(program: Program) -> System:
    """Reads the equations off the program."""
    graph = Graph([p.shape for p in program.params])
    scheduled = {schedule_label(name): name for name in program.schedules}
    reader = Reader(graph, frozenset(scheduled))
    inputs = _Inputs(graph, program)
    outcomes = _outcomes(graph, reader, program, inputs)
    named = _Names(graph, program, inputs, outcomes)
    regimes = []
    for outcome in outcomes:
        graph.facts = outcome.facts
        regimes.append(_regime(graph, program, named, outcome, reader, scheduled))
    graph.facts = {}
    return System(
        program,
        tuple(regimes),
        tuple(named.slots),
        named.constants,
        {letter: name for name, letter in named.hyperparameters.items()},
        tuple(graph.remarks),
        frozenset(reader.narrow),
        tuple(reader.unread),
        named.wordless,
    )


class _Inputs:
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
        self.unsized = [k for k, s in enumerate(program.slots)
                        if s.axes is None or (s.leaf is None and np.ndim(s.initial))]

    def all(self) -> list[int]:
        """In the order in which the program takes them."""
        return [*self.hp.values(), *self.grads, *self.slots, *self.params]


def _outcomes(graph: Graph, reader: Reader, program: Program, inputs: _Inputs) -> list[_Outcome]:
    """What the step gives, for every way in which its conditions can come out."""
    closed = program.jaxpr
    if inputs.unsized:
        reader.unread["the state has arrays that are not of a parameter's shape"] = None

    def explore(facts: dict[int, bool]) -> list[_Outcome]:
        graph.facts = facts
        out = reader.read(closed.jaxpr, closed.consts, inputs.all())
        n = len(program.params)
        outcome = _Outcome(facts, out[:n], out[n:])
        pred = _undecided(graph, out)
        if pred is None or len(facts) >= _REGIMES:
            return [outcome]
        return explore(facts | {pred: True}) + explore(facts | {pred: False})

    found = explore({})
    graph.facts = {}
    return found


def _undecided(graph: Graph, outputs: Sequence[int]) -> int | None:
    """A condition on the whole step that chooses what an output is."""
    tests: list[int] = []
    for i in outputs:
        node = graph.nodes[i]
        tests += [node.args[0]] if node.op == "select" else []
        if node.op == "mul":
            tests += [graph.nodes[a].args[0] for a in node.args if graph.nodes[a].op == "indicator"]
    able = [test for test in tests if graph.places[test] == SCALAR
            and not any(graph.operands(test, "unknown", "table", "hp"))]
    return min(able, default=None)  # the first that the program computes


class _Names:
    """The symbols of inputs, and which counts are one count."""

    def __init__(self, graph: Graph, program: Program, inputs: _Inputs,
                 outcomes: Sequence[_Outcome]) -> None:
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
        self.steps = [_step_of(graph, i, [o.state[k] for o in outcomes], program.slots[k])
                      for k, i in enumerate(inputs.slots)]
        self._name_slots(program, inputs, outcomes)
        for name, letter in named.items():  # such as the value that an accumulator begins with
            self.constants.setdefault(letter, program.hyperparameters[name])
        self.schedules = letters.of_schedules(program.schedules, program.settings)

    def _name_slots(self, program: Program, inputs: _Inputs,
                    outcomes: Sequence[_Outcome]) -> None:
        taken: dict[int | None, set[str]] = {None: {*self.constants, "g", "θ"}}
        counts: dict[Any, str] = {}
        for k, (slot, i) in enumerate(zip(program.slots, inputs.slots)):
            own = taken.setdefault(slot.leaf, set())
            still = all(o.state[k] == i for o in outcomes)
            key = (self.steps[k], slot.leaf, None if slot.initial is None
                   else float(np.asarray(slot.initial).ravel()[0])) if self.steps[k] else None
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
        """A number that the state keeps as it is, such as a hyperparameter that was injected."""
        named = letters.of_hyperparameters([slot.field], [slot.field])[slot.field]
        letter = named if named not in own else letters.of_slot(slot, own)
        if slot.initial is not None and np.asarray(slot.initial).dtype.kind in "fiub":
            self.constants[letter] = float(slot.initial)
        return letter


def _step_of(graph: Graph, old: int, new: Sequence[int], slot: Any) -> tuple[str, ...]:
    """How a whole number changes in each regime, if it only counts: "next", "same" or "reset"."""
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


def _regime(graph: Graph, program: Program, named: _Names, outcome: _Outcome, reader: Reader,
            scheduled: Mapping[str, str]) -> Regime:
    writer = Writer(graph, dict(named.symbols))
    conditions = tuple((writer.define(p), fact) for p, fact in outcome.facts.items())
    lines: list[tuple[int | None, Line]] = []
    for k, i in enumerate(outcome.state):  # the new state, by the numbers of its values
        slot, letter = program.slots[k], named.slots[k]
        at = "" if slot.leaf is None else f"{AT}{slot.leaf}"
        old = slot_number(graph, k, program.slots[k])
        if i == old or not letter:
            continue
        plain = graph.nodes[i].op in ("number", "gradient", "parameter", "slot", "hp")
        if named.steps[k] and graph.constant(i) is None:
            fresh = ops.new(letter)
            writer.names[i] = fresh
            writer.inputs[old] = fresh - 1  # type: ignore[index]
        elif not plain and i not in writer.names:
            writer.names[i] = ops.symbol(f"{letter}{ops.NEW}{at}")
    roots = [*outcome.updates, *outcome.state]
    values = intermediates(graph, writer, roots, len(program.params))
    lines += _schedule_lines(graph, writer, named, reader, roots, scheduled)
    for i, name in values:
        leaf = int(name.name.partition(AT)[2]) if AT in name.name else None
        lines.append((leaf, Line(name, writer.define(i), "value")))
    for k, i in enumerate(outcome.state):
        lines += _state_line(graph, program, named, writer, k, i)
    for leaf, i in enumerate(outcome.updates):
        target = ops.symbol(f"θ{ops.NEW}{AT}{leaf}")
        lines.append((leaf, Line(target, writer._write(i), "parameter")))
    return Regime(conditions, tuple(_groups(lines, len(program.params))))


def slot_number(graph: Graph, k: int, slot: Slot) -> int:
    """The value of a slot before the step."""
    whole = slot.leaf is not None and slot.axes and any(a is not None for a in slot.axes)
    return graph.leaf("slot", k, Place(slot.leaf, slot.axes or ()) if whole else SCALAR)


def _schedule_lines(graph: Graph, writer: Writer, named: _Names, reader: Reader,
                    roots: list[int], scheduled: Mapping[str, str]) -> Iterable[Any]:
    for i in sorted(graph.below(roots)):
        if graph.nodes[i].op == "schedule" and i not in writer.names:
            name = scheduled[graph.nodes[i].param]
            letter = named.schedules[name]
            writer.names[i] = ops.symbol(letter)
            (count,) = graph.nodes[i].args
            body = reader.schedules.get(i)
            if body is None:
                named.wordless[letter] = name
                expr = ops.Applied(sp.Symbol(name), writer._write(count))
            else:
                expr = writer._write(body)
            yield None, Line(ops.symbol(letter), expr, "schedule")


def _state_line(graph: Graph, program: Program, named: _Names, writer: Writer, k: int,
                i: int) -> Iterable[Any]:
    slot, letter = program.slots[k], named.slots[k]
    at = "" if slot.leaf is None else f"{AT}{slot.leaf}"
    target = ops.symbol(f"{letter}{ops.NEW}{at}")
    if i == slot_number(graph, k, program.slots[k]) or not letter:
        return
    if named.steps[k] and graph.constant(i) is None:
        yield None, Line(target, ops.symbol(letter) + 1, "count")
    elif writer.names.get(i) == target:
        yield slot.leaf, Line(target, writer.define(i), "state")
    else:
        yield slot.leaf, Line(target, writer._write(i), "state")


def _groups(lines: list[tuple[int | None, Line]], leaves: int) -> Iterable[Group]:
    """The lines of each array, arrays with equal lines together."""
    shared = list(dict.fromkeys(line for leaf, line in lines if leaf is None))
    groups: dict[Any, list[int]] = {}
    for leaf in range(leaves):
        own = [line for of, line in lines if of == leaf]
        mine = [Line(generic(line.target, leaf), generic(line.expr, leaf), line.kind)
                for line in [*shared, *own]]
        readable = with_gradient(with_hats(ordered(mine)))
        groups.setdefault(tuple(readable), []).append(leaf)
    return [Group(tuple(members), mine) for mine, members in groups.items()]
