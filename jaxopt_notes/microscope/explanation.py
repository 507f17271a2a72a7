"""What `explain` gives: the equations of an optimizer, checked, and how they are shown."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from jaxopt_notes.microscope import operations as ops
from jaxopt_notes.microscope.checking import Check
from jaxopt_notes.microscope.owners import FRAMEWORK_NAMES, Convention
from jaxopt_notes.microscope.system import Line, System
from jaxopt_notes.microscope.writing import Latex, Text

_WIDTH = 58  # of the equations, before the numbers that stand beside them


@dataclass(frozen=True)
class Hyperparameter:
    """A number of the optimizer: its letter in the equations, its argument's name, its value."""

    letter: str
    name: str
    value: float


@dataclass(frozen=True)
class Case:
    """What a step does to some arrays under some conditions.

    Attributes:
      when: the conditions in words, "" if there are none.
      conditions: the same as expressions of the state before the step, each with what it must be.
      leaves: the names of the parameter arrays.
      lines: the equations, in an order in which they can be computed.
    """

    when: str
    conditions: tuple[tuple[sp.Expr, bool], ...]
    leaves: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Explanation:
    """The equations of an optimizer.

    Attributes:
      name: the call that made it.
      hyperparameters: the numbers that the equations name.
      cases: the equations; one case for an optimizer that treats all arrays alike at every step.
      starts: what the state holds before the first step, by letter, where that is not 0.
      remarks: guards and the order of a chain, in words.
      checked: how near the equations are to the optimizer, stepped beside it.
      conventions: the frameworks that have these equations, or others by the same name.
      system: the equations with all that is needed to step them.
    """

    name: str
    hyperparameters: tuple[Hyperparameter, ...]
    cases: tuple[Case, ...]
    starts: dict[str, str]
    remarks: tuple[str, ...]
    checked: Check
    conventions: tuple[Convention, ...]
    system: System

    @property
    def holds(self) -> bool:
        """Whether the equations are those of the optimizer."""
        return self.checked.holds

    @property
    def text(self) -> str:
        """All of it, in Unicode."""
        return "\n".join(_rows(self))

    @property
    def latex(self) -> str:
        """The equations in LaTeX; "" if the check did not hold."""
        if not self.holds:
            return ""
        write = Latex(sorted(self.system.numbers))
        rows = []
        for case in self.cases:
            if head := _latex_head(write, case, self):
                rows.append(f"&{head}")
            rows += [rf"{write(line.target)} &\leftarrow {_side(write, line)}"
                     for line in case.lines if not _idle(line)]
        body = " \\\\\n".join(rows)
        return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"

    def _repr_latex_(self) -> str:
        return f"$${self.latex}$$" if self.latex else ""

    def __str__(self) -> str:
        return self.text

    def as_json(self) -> dict[str, Any]:
        """The same as plain values; equations both as text and as SymPy's `srepr`."""
        write = Text(sorted(self.system.numbers))
        return {
            "name": self.name,
            "holds": self.holds,
            "hyperparameters": [vars(h) for h in self.hyperparameters],
            "cases": [
                {"when": c.when, "leaves": list(c.leaves), "lines": [
                    {"target": line.letter, "kind": line.kind, "text": _equation(write, line),
                     "sympy": sp.srepr(line.expr)} for line in c.lines]}
                for c in self.cases
            ],
            "starts": self.starts,
            "remarks": list(self.remarks),
            "checked": {k: v if v != float("inf") else None
                        for k, v in self.checked._asdict().items()},
            "conventions": [c._asdict() for c in self.conventions],
            "latex": self.latex,
        }  # fmt: skip

    def json(self) -> str:
        """`as_json` as one line."""
        return json.dumps(self.as_json(), ensure_ascii=False)


def _rows(e: Explanation) -> list[str]:
    rows = [e.name]
    if not e.holds:
        rows.append(f"  could not be put into an equation: {e.checked.failure}")
        understood = [line for case in e.cases for line in case.lines if not _unread(line)]
        if not e.system.unread or not understood:
            return rows
        rows.append("  steps that were understood, unchecked:")
    shown: set[str] = set()
    write = Text(sorted(e.system.numbers))
    for case in e.cases:
        head = _head(case, e)
        if head:
            rows.append(f"  {head}:")
        for line in case.lines:
            if not _unread(line) and not _idle(line):
                left = ("    " if head else "  ") + _equation(write, line)
                beside = _beside(e, line, shown)
                rows.append(f"{left:<{_WIDTH}} {beside}".rstrip())
    if not e.holds:
        return rows
    rest = [h for h in e.hyperparameters if h.letter not in shown]
    starts = {k: v for k, v in e.starts.items()}
    rows += [f"  at the start {k} = {v}" for k, v in starts.items()]
    rest = [h for h in rest if not any(_begins(h, k) for k in starts)]
    if rest:
        rows.append("  " + ", ".join(f"{h.letter} = {_plain(h.value)}" for h in rest))
    rows += [f"  {remark}" for remark in e.remarks]
    rows.append(f"  checked: {_checked(e)}")
    return rows + [f"  {row}" for row in convention_rows(e.conventions)]


def _begins(h: Hyperparameter, letter: str) -> bool:
    return h.letter == f"{letter}₀"


def _plain(value: float) -> str:
    return f"{value:.12g}"


def _checked(e: Explanation) -> str:
    check = e.checked
    precision = check.dtype if check.dtype == "float64" else f"{check.dtype}, in which it computes"
    text = f"{check.steps} steps in {precision}; the largest difference is {check.largest:.0e}"
    whens = list(dict.fromkeys(case.when for case in e.cases))
    unseen = [whens[i] for i in check.unseen]
    return text + "".join(f"; no step met the case \"{when}\"" for when in unseen)


def _equation(write: Text, line: Line) -> str:
    return f"{write(line.target)} ← {_side(write, line)}"


def write_line(e: "Explanation", line: Line) -> str:
    """One equation of an explanation as text."""
    return _equation(Text(sorted(e.system.numbers)), line)


def _side(write: Text, line: Line) -> str:
    return write.moved(line.expr) if line.kind == "parameter" else write(line.expr)


def _unread(line: Line) -> bool:
    return bool(line.expr.atoms(ops.Unknown))


def _idle(line: Line) -> bool:
    """A number that the state only keeps for its reader."""
    return line.kind == "state" and line.letter.startswith("_")


def _head(case: Case, e: Explanation) -> str:
    every = len(case.leaves) == len(e.system.program.leaves)
    where = "" if every else "for " + ", ".join(case.leaves)
    return ", ".join(part for part in (case.when, where) if part)


def _latex_head(write: Text, case: Case, e: Explanation) -> str:
    every = len(case.leaves) == len(e.system.program.leaves)
    names = ", ".join(case.leaves).replace("_", r"\_")
    parts = [_conditions(write, e.system, case.conditions), "" if every else rf"\text{{for {names}}}"]
    return r",\ ".join(part for part in parts if part)


def _beside(e: Explanation, line: Line, shown: set[str]) -> str:
    names = {s.name for s in line.expr.free_symbols}
    new = [h for h in e.hyperparameters if h.letter in names and h.letter not in shown]
    shown |= {h.letter for h in new}
    return ", ".join(f"{h.letter} = {_plain(h.value)}" for h in new)


def convention_rows(conventions: tuple[Convention, ...]) -> list[str]:
    """Whose formula it is, and what others mean by the name."""
    same = [c for c in conventions if c.same]
    rows = []
    if same:
        rows.append("the formula of " + ", ".join(c.name for c in same))
    for c in conventions:
        if not c.same:
            rows.append(f"{c.optimizer} in {FRAMEWORK_NAMES[c.framework]}: {c.formula}")
    defaults = [f"{c.framework}.{c.optimizer} "
                + ", ".join(f"{k} = {_plain(v)}" for k, v in c.defaults.items())
                for c in conventions if c.defaults]
    if defaults:
        rows.append("other defaults: " + "; ".join(defaults))
    return rows


def starts(system: System) -> dict[str, str]:
    """What the state holds at first, where that is not 0."""
    found: dict[str, str] = {}
    program = system.program
    moving = {line.letter for r in system.regimes for g in r.groups for line in g.lines}
    read = {s.name.removesuffix(ops.OLD) for r in system.regimes for g in r.groups
            for line in g.lines for s in line.expr.free_symbols}
    for slot, letter in zip(program.slots, system.slots):
        if letter in system.constants or slot.initial is None or letter not in moving | read:
            continue
        values = np.asarray(slot.initial, np.float64)
        if not values.any():
            continue
        if slot.leaf is not None and np.array_equal(values, program.params[slot.leaf]):
            found[letter] = "θ"
        elif np.ptp(values) == 0:
            found[letter] = f"{values.ravel()[0]:.6g}"
        else:
            found[letter] = "values of its own"
    return found


def cases(system: System) -> tuple[Case, ...]:
    """The regimes and groups of a system, as a reader meets them."""
    write = Text(sorted(system.numbers))
    found = []
    for regime in system.regimes:
        when = _conditions(write, system, regime.conditions)
        for group in regime.groups:
            names = tuple(system.program.leaves[i] for i in group.leaves)
            found.append(Case(when, regime.conditions, names, group.lines))
    return tuple(found)


def _conditions(write: Text, system: System, conditions: Any) -> str:
    counted = _always_counted(system)
    words = []
    for test, fact in conditions:
        test = test.xreplace({ops.symbol(k): ops.symbol(k) - 1 for k in counted})
        words.append(write(test if fact else ops.Contrary(test)))
    return f"{write.word('if')} {write.between('and').join(words)}" if words else ""


def _always_counted(system: System) -> set[str]:
    """The counts that every step raises: before a step, t is t − 1."""
    per_regime = [
        {line.letter for group in regime.groups for line in group.lines if line.kind == "count"}
        for regime in system.regimes
    ]
    return set.intersection(*per_regime) if per_regime else set()


