"""The equations of one step: its values, by condition and by array."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import sympy as sp
from sympy.core.parameters import distribute

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.formulas import AT, Writer, generic
from jaxopt_notes.microscope.equations.graph import Graph
from jaxopt_notes.microscope.equations.naming import SCALARS, intermediates, ordered
from jaxopt_notes.microscope.equations.outcomes import Inputs, Outcome, outcomes, slot_number
from jaxopt_notes.microscope.equations.readable import with_gradient, with_hats
from jaxopt_notes.microscope.equations.reading import Reader
from jaxopt_notes.microscope.equations.symbols import Names
from jaxopt_notes.microscope.equations.tracing import Program, schedule_label


class Line(NamedTuple):
    """One equation.

    Attributes:
      target: the computed value; its name ends in ⁺ if it replaces a value of the previous step.
      expr: the formula; for a parameter, the update that is added to it.
      kind: "count", "schedule", "value" (an intermediate one), "state", or "parameter".
    """

    target: sp.Symbol
    expr: sp.Expr
    kind: str

    @property
    def letter(self) -> str:
        """The target as printed."""
        return self.target.name.removesuffix(ops.NEW)


class Group(NamedTuple):
    """The equations of arrays that are treated alike, in an order of computation."""

    leaves: tuple[int, ...]
    lines: tuple[Line, ...]


class Regime(NamedTuple):
    """The equations of a step under some conditions, expressions that must be true or false."""

    conditions: tuple[tuple[sp.Expr, bool], ...]
    groups: tuple[Group, ...]


class System(NamedTuple):
    """All equations of a step.

    Attributes:
      program: the program from which the equations were read.
      regimes: the cases; a single one without conditions for most optimizers.
      slots: the letter of each slot of the state ("" where no equation names it).
      constants: numbers that the equations name: hyperparameters, and constants of the state.
      names: the argument of each hyperparameter's letter.
      remarks: the folded operations, in words.
      narrow: the floating dtypes below float64 that the program computes in.
      unread: why parts could not be read.
      wordless: schedules that are called, because they could not be read.
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
        """The names of values that are one number for all elements."""
        scalar = {line.letter for line in self.lines if line.kind in ("count", "schedule")}
        scalar |= {line.letter for line in self.lines if line.letter[0] in SCALARS}
        slots = zip(self.program.slots, self.slots)
        return scalar | {*self.constants} | {letter for s, letter in slots if s.leaf is None}


def read_system(program: Program) -> System:
    """Reads the equations from the program."""
    with distribute(False):  # −0.5 (a + b) stays a product
        return _read_system(program)


def _read_system(program: Program) -> System:
    graph = Graph([p.shape for p in program.params])
    scheduled = {schedule_label(name): name for name in program.schedules}
    reader = Reader(graph, frozenset(scheduled))
    inputs = Inputs(graph, program)
    results = outcomes(graph, reader, program, inputs)
    named = Names(graph, program, inputs, results)
    regimes = []
    for outcome in results:
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


def _regime(
    graph: Graph,
    program: Program,
    named: Names,
    outcome: Outcome,
    reader: Reader,
    scheduled: Mapping[str, str],
) -> Regime:
    writer = Writer(graph, dict(named.symbols))
    conditions = tuple((writer.define(p), fact) for p, fact in outcome.facts.items())
    lines: list[tuple[int | None, Line]] = []
    for k, i in enumerate(outcome.state):  # the new state, by value numbers
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
        update = writer.write(i)
        if update.is_Mul and update.args[0] == -1 and len(update.args) == 2:
            update = sp.Add(*[-a for a in sp.Add.make_args(update.args[1])])
        lines.append((leaf, Line(target, update, "parameter")))
    return Regime(conditions, tuple(_groups(lines, len(program.params))))


def _schedule_lines(
    graph: Graph,
    writer: Writer,
    named: Names,
    reader: Reader,
    roots: list[int],
    scheduled: Mapping[str, str],
) -> Iterable[Any]:
    for i in sorted(graph.below(roots)):
        if graph.nodes[i].op == "schedule" and i not in writer.names:
            name = scheduled[graph.nodes[i].param]
            letter = named.schedules[name]
            writer.names[i] = ops.symbol(letter)
            (count,) = graph.nodes[i].args
            body = reader.schedules.get(i)
            if body is None:
                named.wordless[letter] = name
                expr = ops.Applied(sp.Symbol(name), writer.write(count))
            else:
                expr = writer.write(body)
            yield None, Line(ops.symbol(letter), expr, "schedule")


def _state_line(
    graph: Graph, program: Program, named: Names, writer: Writer, k: int, i: int
) -> Iterable[Any]:
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
        yield slot.leaf, Line(target, writer.write(i), "state")


def _groups(lines: list[tuple[int | None, Line]], leaves: int) -> Iterable[Group]:
    """The lines of each array, arrays with equal lines together."""
    shared = list(dict.fromkeys(line for leaf, line in lines if leaf is None))
    groups: dict[Any, list[int]] = {}
    for leaf in range(leaves):
        own = [line for of, line in lines if of == leaf]
        mine = [
            Line(generic(line.target, leaf), generic(line.expr, leaf), line.kind)
            for line in [*shared, *own]
        ]
        readable = with_gradient(with_hats(ordered(mine)))
        groups.setdefault(tuple(readable), []).append(leaf)
    return [Group(tuple(members), mine) for mine, members in groups.items()]
