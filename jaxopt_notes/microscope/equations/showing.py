"""An explanation as rows of text."""

from typing import TYPE_CHECKING, Any

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.checking import LATE, LATE_STEPS
from jaxopt_notes.microscope.equations.owners import FRAMEWORK_NAMES, Convention
from jaxopt_notes.microscope.equations.system import Line, System
from jaxopt_notes.microscope.equations.writing import Text

if TYPE_CHECKING:
    from jaxopt_notes.microscope.equations.explanation import Case, Explanation

_WIDTH = 58  # of the equations, before the numbers beside them


def rows(e: "Explanation") -> list[str]:
    """All of the text."""
    rows = [e.name]
    if not e.holds:
        rows.append(f"  could not be put into an equation: {e.checked.failure}")
        understood = [line for case in e.cases for line in case.lines if not _unread(line)]
        if not e.system.unread or not understood:
            return rows
        rows.append("  the steps that were understood, not checked:")
    shown: set[str] = set()
    write = Text(sorted(e.system.numbers))
    for case in e.cases:
        above = head(case, e)
        if above:
            rows.append(f"  {above}:")
        for line in case.lines:
            if not _unread(line) and not idle(line):
                left = ("    " if above else "  ") + equation(write, line)
                beside = _beside(e, line, shown)
                rows.append(f"{left:<{_WIDTH}} {beside}".rstrip())
    if not e.holds:
        return rows
    rest = [h for h in e.hyperparameters if h.letter not in shown]
    rows += [f"  at the start {k} = {v}" for k, v in e.starts.items()]
    rest = [h for h in rest if h.letter.rstrip("₀") not in e.starts]
    if rest:
        rows.append("  " + ", ".join(f"{h.letter} = {plain(h.value)}" for h in rest))
    rows += [f"  {remark}" for remark in e.remarks]
    rows.append(f"  checked: {_checked(e)}")
    return rows + [f"  {row}" for row in convention_rows(e.conventions)]


def plain(value: float) -> str:
    """A number with all its digits."""
    return f"{value:.12g}"


def _checked(e: "Explanation") -> str:
    check = e.checked
    precision = (
        check.dtype if check.dtype == "float64" else f"{check.dtype}, the optimizer's own dtype"
    )
    text = f"{check.steps} steps in {precision}; the largest difference is {check.largest:.0e}"
    whens = list(dict.fromkeys(case.when for case in e.cases))
    unseen = [whens[i] for i in check.unseen]
    text += f"; {LATE_STEPS} more from t = {LATE + 1}" if check.late else ""
    return text + "".join(f'; no step met the case "{when}"' for when in unseen)


def equation(write: Text, line: Line) -> str:
    """One line: the target and its formula."""
    return f"{write(line.target)} ← {side(write, line)}"


def write_line(e: "Explanation", line: Line) -> str:
    """One equation of an explanation as text."""
    return equation(Text(sorted(e.system.numbers)), line)


def side(write: Text, line: Line) -> str:
    """The text to the right of the arrow."""
    return write.moved(line.expr) if line.kind == "parameter" else write(line.expr)


def _unread(line: Line) -> bool:
    return bool(line.expr.atoms(ops.Unknown))


def idle(line: Line) -> bool:
    """A number that the state keeps only for readers."""
    return line.kind == "state" and line.letter.startswith("_")


def head(case: "Case", e: "Explanation") -> str:
    """The conditions of a case, and its arrays."""
    every = len(case.leaves) == len(e.system.program.leaves)
    where = "" if every else "for " + ", ".join(case.leaves)
    return ", ".join(part for part in (case.when, where) if part)


def latex_head(write: Text, case: "Case", e: "Explanation") -> str:
    """The same in LaTeX."""
    every = len(case.leaves) == len(e.system.program.leaves)
    names = ", ".join(case.leaves).replace("_", r"\_")
    parts = [
        conditions(write, e.system, case.conditions),
        "" if every else rf"\text{{for {names}}}",
    ]
    return r",\ ".join(part for part in parts if part)


def _beside(e: "Explanation", line: Line, shown: set[str]) -> str:
    names = {s.name for s in line.expr.free_symbols}
    new = [h for h in e.hyperparameters if h.letter in names and h.letter not in shown]
    shown |= {h.letter for h in new}
    return ", ".join(f"{h.letter} = {plain(h.value)}" for h in new)


def convention_rows(conventions: tuple[Convention, ...]) -> list[str]:
    """The frameworks with this formula, and other frameworks' formulas of that name."""
    same = [c for c in conventions if c.same]
    rows = []
    if same:
        rows.append("the formula of " + ", ".join(c.name for c in same))
    for c in conventions:
        if not c.same:
            rows.append(f"{c.optimizer} in {FRAMEWORK_NAMES[c.framework]}: {c.formula}")
    defaults = [
        f"{c.framework}.{c.optimizer} "
        + ", ".join(f"{k} = {plain(v)}" for k, v in c.defaults.items())
        for c in conventions
        if c.defaults
    ]
    if defaults:
        rows.append("other defaults: " + "; ".join(defaults))
    return rows


def conditions(write: Text, system: System, tests: Any) -> str:
    """The conditions of a case in words."""
    counted = _always_counted(system)
    words = []
    for test, fact in tests:
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
