"""Facts that an equation hides: guards, the order of a chain, the meaning of a norm."""

from collections.abc import Iterator

import sympy as sp

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.checking import Check
from jaxopt_notes.microscope.equations.system import Line, System
from jaxopt_notes.microscope.equations.writing import Text

_NORMS = (ops.ArraySum, ops.ArrayMean, ops.Total, ops.Largest)


def remarks(system: System, result: Check) -> tuple[str, ...]:
    """The remarks, one line each."""
    lines = list(system.lines)
    write = Text(sorted(system.numbers))
    sentences = [*system.remarks]
    for guard in sorted({g for line in lines for g in line.expr.atoms(ops.Guarded)}, key=str):
        test, value, instead = guard.args
        where = write(ops.Contrary(test))
        sentences.append(f"{write(instead)} in place of {write(value)} where {where}")
    sentences += _norms(lines)
    if not system.unread:
        sentences += _order(lines)
    sentences += [
        f"{letter} is the schedule that was passed as {name}, called with t − 1"
        for letter, name in system.wordless.items()
    ]
    if result.holds and result.uphill:
        every = len(result.uphill) == len(system.program.leaves)
        of = "" if every else " of " + ", ".join(system.program.leaves[i] for i in result.uphill)
        sentences.append(f"the first step{of} follows the gradient uphill")
    return tuple(dict.fromkeys(sentences))


def _norms(lines: list[Line]) -> Iterator[str]:
    whole = any(
        t.args[0].name == "ArraySum" and len(t.args[2]) > 1
        for line in lines
        for t in line.expr.atoms(ops.Total)
    )
    own = any(
        not s.args[1]
        for line in lines
        for s in line.expr.atoms(ops.ArraySum, ops.ArrayMean, ops.Largest)
    )
    if whole:
        yield (
            "‖·‖ and Σ run over all arrays together"
            if not own
            else ("some norms run over all arrays together, others over each array separately")
        )
    elif own:
        yield "norms and means are taken for each array separately"


def _order(lines: list[Line]) -> Iterator[str]:
    theta = ops.symbol("θ")
    moments = [line for line in lines if line.kind == "state"]
    gradient = [line for line in lines if line.target == ops.new("g")]
    moves = [line for line in lines if line.kind == "parameter"]
    if gradient and moments:
        if any(_outside_norms(line.expr, theta) for line in gradient):
            yield "the weight decay passes through the state (coupled, as in L2)"
        if any(line.expr.atoms(ops.Minimum, *_NORMS) for line in gradient):
            yield "the gradient is clipped before it enters the state"
    through = [line for line in lines if line.kind in ("state", "value")]
    decays, passes = (
        any(_outside_norms(line.expr, theta) for line in own) for own in (moves, through)
    )
    if moments and decays and not passes:
        yield "the weight decay does not pass through the state (decoupled)"


def _outside_norms(expr: sp.Expr, symbol: sp.Symbol) -> bool:
    """Whether a symbol occurs in an expression outside norms."""
    if isinstance(expr, _NORMS):
        return False
    return expr == symbol or any(_outside_norms(a, symbol) for a in expr.args)
