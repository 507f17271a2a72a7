"""The result of `explain`: an optimizer's checked equations, and their display."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations import showing
from jaxopt_notes.microscope.equations.checking import Check
from jaxopt_notes.microscope.equations.latex import Latex
from jaxopt_notes.microscope.equations.owners import Convention
from jaxopt_notes.microscope.equations.system import Line, System
from jaxopt_notes.microscope.equations.writing import Text


@dataclass(frozen=True)
class Hyperparameter:
    """A number of the optimizer: its letter in the equations, its argument's name, its value."""

    letter: str
    name: str
    value: float


@dataclass(frozen=True)
class Case:
    """The equations of a step for some arrays under some conditions.

    Attributes:
      when: the conditions in words, "" if there are none.
      conditions: the conditions as expressions of the state before the step, each with its required
        value.
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
      name: the call that made the optimizer.
      hyperparameters: the numbers that the equations name.
      cases: the equations; one case for an optimizer that treats all arrays alike at every step.
      starts: the state's values before the first step, by letter, where they are not 0.
      remarks: guards and the order of a chain, in words.
      checked: how well the equations match the optimizer, from steps side by side.
      conventions: the frameworks with these equations, or with other equations of that name.
      system: the equations with everything needed to step them.
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
        """Whether the equations match the optimizer."""
        return self.checked.holds

    @property
    def text(self) -> str:
        """The whole explanation, in Unicode."""
        return "\n".join(showing.rows(self))

    @property
    def latex(self) -> str:
        """The equations in LaTeX; "" if the check did not hold."""
        if not self.holds:
            return ""
        write = Latex(sorted(self.system.numbers))
        rows = []
        for case in self.cases:
            if head := showing.latex_head(write, case, self):
                rows.append(f"&{head}")
            rows += [
                rf"{write(line.target)} &\leftarrow {showing.side(write, line)}"
                for line in case.lines
                if not showing.idle(line)
            ]
        body = " \\\\\n".join(rows)
        return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"

    def _repr_latex_(self) -> str:
        return f"$${self.latex}$$" if self.latex else ""

    def __str__(self) -> str:
        return self.text

    def as_json(self) -> dict[str, Any]:
        """The explanation as plain values; equations both as text and as SymPy's `srepr`."""
        write = Text(sorted(self.system.numbers))
        return {
            "name": self.name,
            "holds": self.holds,
            "hyperparameters": [vars(h) for h in self.hyperparameters],
            "cases": [
                {"when": c.when, "leaves": list(c.leaves), "lines": [
                    {"target": line.letter, "kind": line.kind,
                     "text": showing.equation(write, line), "sympy": sp.srepr(line.expr)}
                    for line in c.lines]}
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


def starts(system: System) -> dict[str, str]:
    """The state's initial values that are not 0."""
    texts: dict[str, str] = {}
    program = system.program
    moving = {line.letter for r in system.regimes for g in r.groups for line in g.lines}
    read = {
        s.name.removesuffix(ops.OLD)
        for r in system.regimes
        for g in r.groups
        for line in g.lines
        for s in line.expr.free_symbols
    }
    for slot, letter in zip(program.slots, system.slots):
        if letter in system.constants or slot.initial is None or letter not in moving | read:
            continue
        values = np.asarray(slot.initial, np.float64)
        if not values.any():
            continue
        if slot.leaf is not None and np.array_equal(values, program.params[slot.leaf]):
            texts[letter] = "θ"
        elif np.ptp(values) == 0:
            texts[letter] = f"{values.ravel()[0]:.6g}"
        else:
            texts[letter] = "values of its own"
    return texts


def cases(system: System) -> tuple[Case, ...]:
    """The regimes and groups of a system as cases, for a reader."""
    write = Text(sorted(system.numbers))
    rows = []
    for regime in system.regimes:
        when = showing.conditions(write, system, regime.conditions)
        for group in regime.groups:
            names = tuple(system.program.leaves[i] for i in group.leaves)
            rows.append(Case(when, regime.conditions, names, group.lines))
    return tuple(rows)
