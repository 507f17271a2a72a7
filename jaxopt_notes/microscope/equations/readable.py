"""Rewrites lines in the style of papers: m̂ for a corrected average, g for the clipped gradient."""

from collections.abc import Sequence
from typing import Any

import sympy as sp

from jaxopt_notes.microscope.equations import operations as ops

HAT = "\u0302"


def with_hats(lines: Sequence[Any]) -> list[Any]:
    """Names m / (1 − β^t) m̂, wherever m is a new value of the state."""
    states = {line.target for line in lines if line.kind == "state"}
    hats: dict[sp.Symbol, sp.Expr] = {}
    changed = [line._replace(expr=_hatted(line.expr, states, hats)) for line in lines]
    made = []
    aliases = {
        line.target: line.expr for line in changed if line.kind == "value" and line.expr.is_Symbol
    }
    for line in changed:
        line = line._replace(expr=line.expr.xreplace(aliases))
        if line.target not in aliases:
            made.append(line)
        for hat, expr in hats.items():
            if line.target in expr.free_symbols and expr.free_symbols & states == {line.target}:
                made.append(line._replace(target=hat, expr=expr, kind="value"))
    return made


def _hatted(expr: Any, states: set[Any], hats: dict[sp.Symbol, sp.Expr]) -> Any:
    if not expr.args:
        return expr
    expr = expr.func(*[_hatted(a, states, hats) for a in expr.args])
    if not expr.is_Mul:
        return expr
    for average in [a for a in expr.args if a in states]:
        for factor in expr.args:
            if factor.is_Pow and factor.exp == -1 and _is_correction(factor.base):
                hat = ops.symbol(hatted(average.name.removesuffix(ops.NEW)))
                if hats.setdefault(hat, average * factor) == average * factor:
                    return expr / (average * factor) * hat
    return expr


def hatted(name: str) -> str:
    """The name with a hat, before the subscript.

    >>> hatted("m₂") == "m" + HAT + "₂"
    True
    """
    stem = name.rstrip("₀₁₂₃₄₅₆₇₈₉")
    return stem + HAT + name[len(stem) :]


def _is_correction(expr: Any) -> bool:
    """Whether the expression is 1 − β^t."""
    if not (expr.is_Add and len(expr.args) == 2 and 1 in expr.args):
        return False
    (power,) = [-a for a in expr.args if a != 1]
    return bool(power.is_Pow and power.exp.is_Symbol and power.exp.name.endswith(ops.NEW))


def with_gradient(lines: Sequence[Any]) -> list[Any]:
    """Names the only use of the gradient g: g ← g min(1, c / ‖g‖)."""
    g = ops.symbol("g")
    users = [line for line in lines if g in line.expr.free_symbols]
    if len(users) != 1 or users[0].kind != "value" or HAT in users[0].target.name:
        return list(lines)
    if users[0].expr.could_extract_minus_sign() or any(
        s.name.endswith(ops.NEW) for s in users[0].expr.free_symbols
    ):
        return list(lines)
    fresh = {users[0].target: ops.new("g")}
    return [
        line._replace(target=fresh.get(line.target, line.target), expr=line.expr.xreplace(fresh))
        for line in lines
    ]
