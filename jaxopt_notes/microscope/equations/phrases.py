"""The phrasing of the operations in `operations`; the writer formats each piece."""

from collections.abc import Callable
from typing import Any

import sympy as sp

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.signs import is_square, square_root

ADD, MUL, POW, ATOM = 1, 2, 3, 4  # binding strengths of the parts of an expression
COMPARED_OPS = {kind: op for op, kind in ops.COMPARED.items()}
_CONTRARY = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}


def _flat(kind: type, expr: Any) -> list[Any]:
    return [x for a in expr.args for x in (_flat(kind, a) if type(a) is kind else [a])]


def _extreme(kind: type, word: str) -> Callable[[Any, Any], str]:
    def write(text: Any, expr: Any) -> str:
        return f"{text.function(word)}{text.parens(', '.join(map(text, _flat(kind, expr))))}"

    return write


def _contrary(text: Any, expr: Any) -> str:
    (inner,) = expr.args
    if type(inner) in COMPARED_OPS:
        return text(ops.COMPARED[_CONTRARY[COMPARED_OPS[type(inner)]]](*inner.args))
    if type(inner) is ops.Contrary:
        return text(inner.args[0])
    if type(inner) in (ops.Either, ops.Both):
        other = ops.Both if type(inner) is ops.Either else ops.Either
        return text(other(*map(ops.Contrary, inner.args)))
    return f"{text.word('not')} {text.at(inner, POW)}"


def _where(text: Any, expr: Any) -> str:
    test, x, y = expr.args
    if x == 1 and y == 0:
        return f"[{text(test)}]"
    return text.choice(text(x), text(test), text(y))


def _applied(text: Any, expr: Any) -> str:
    name, *args = expr.args
    if name.name == "abs":
        return text.magnitude(text(args[0]))
    if name.name == "is_finite":
        return f"{text(args[0])} {text.word('is finite')}"
    if name.name == "cbrt":
        return text.raised(text.at(args[0], ATOM), "1/3")
    return f"{text.function(name.name)}{text.parens(', '.join(map(text, args)))}"


def _over(word: str) -> Callable[[Any, Any], str]:
    def write(text: Any, expr: Any) -> str:
        inner, axes = expr.args
        along = f" {text.word('along axis')} {', '.join(str(a) for a in axes)}" if axes else ""
        return f"{text.function(word)}{text.parens(text(inner) + along)}"

    return write


def _total(text: Any, expr: Any) -> str:
    kind, inner, _ = expr.args
    if kind.name == "EveryElement":
        return f"{text.word('every')} {text(inner)}"
    if is_square(inner):
        return text.raised(text.norm(text(square_root(inner))), "2")
    return f"{text.function('Σ')}{text.parens(text(inner))}"


def _sum_of_array(text: Any, expr: Any) -> str:
    inner, axes = expr.args
    if not axes and is_square(inner):
        return text.raised(text.norm(text(square_root(inner))), "2")
    return _over("Σ")(text, expr)


CALLS: dict[type, Callable[[Any, Any], str]] = {
    ops.Maximum: _extreme(ops.Maximum, "max"),
    ops.Minimum: _extreme(ops.Minimum, "min"),
    ops.Where: _where,
    ops.Contrary: _contrary,
    ops.Both: lambda text, e: text.between("and").join(map(text, _flat(ops.Both, e))),
    ops.Either: lambda text, e: text.between("or").join(map(text, _flat(ops.Either, e))),
    ops.Applied: _applied,
    ops.Total: _total,
    ops.ArraySum: _sum_of_array,
    ops.ArrayMean: _over("mean"),
    ops.Largest: _over("max"),
    ops.Smallest: _over("min"),
    ops.EveryElement: lambda text, e: f"{text.word('every')} {text(e.args[0])}",
    ops.SomeElement: lambda text, e: f"{text.word('some')} {text(e.args[0])}",
    ops.Remainder: lambda text, e: (
        f"{text.at(e.args[0], POW)} {text.word('mod')} {text(e.args[1])}"
    ),
    sp.Abs: lambda text, e: text.magnitude(text(e.args[0])),
    ops.Unknown: lambda text, e: f"?{e.args[0].name}",
}
