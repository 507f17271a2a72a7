"""Equations as text in Unicode, with terms in the order of papers."""

from collections.abc import Sequence
from typing import Any

import sympy as sp

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.phrases import ADD, ATOM, CALLS, COMPARED_OPS, MUL, POW
from jaxopt_notes.microscope.equations.signs import is_square, negative, opposite, square_root

_RAISED = dict(zip("0123456789+−tkni()= ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵗᵏⁿⁱ⁽⁾⁼\u200a"))
_SIGNS = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "=", "ne": "≠"}
_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}


class Text:
    """Writes expressions in Unicode.

    Args:
      numbers: the names of numbers, such as α and β₁; products begin with them.
    """

    def __init__(self, numbers: Sequence[str] = ()) -> None:
        self.numbers = {*numbers, "t"}

    def __call__(self, expr: sp.Expr) -> str:
        """The expression."""
        return self._write(expr)[0]

    def moved(self, update: sp.Expr) -> str:
        """θ with the update added."""
        theta = ops.symbol("θ")
        if update.is_Add and any(-theta == term for term in update.args):
            return self(theta + update)
        text = self(update)
        if update == 0:
            return self(theta)
        joined = text if text.startswith(self.minus) else f"+{text}"
        return f"{self(theta)} {joined[0]} {joined[1:]}"

    def at(self, expr: sp.Expr, level: int) -> str:
        """The expression inside another expression of binding strength `level`."""
        text, own = self._write(expr)
        if type(expr) in COMPARED_OPS:  # 1 where it holds, else 0
            return f"[{text}]"
        return text if own >= level else self.parens(text)

    def _write(self, expr: Any) -> tuple[str, int]:
        if expr.is_Symbol:
            return self.name(expr.name), ATOM
        if expr.is_number and not expr.args:
            return self._number(expr)
        if expr.is_Add:
            return self._sum(expr), ADD
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow:
            return self._power(expr)
        kind = type(expr)
        if kind is ops.Guarded:
            return self._write(expr.args[1])
        if kind in COMPARED_OPS:
            return self._comparison(expr), ADD
        if kind in CALLS:
            return CALLS[kind](self, expr), ADD if kind is ops.Remainder else ATOM
        return f"{kind.__name__}({', '.join(map(self, expr.args))})", ATOM

    def _number(self, expr: Any) -> tuple[str, int]:
        if expr.is_Integer:
            return str(int(expr)), ATOM if expr >= 0 else ADD
        if expr is sp.oo:
            return "∞", ATOM
        if expr is sp.pi:
            return self.name("π"), ATOM
        x = float(expr)
        return self.decimal(f"{x:.13g}"), ATOM if x >= 0 else ADD

    def _sum(self, expr: Any) -> str:
        def order(term: Any) -> tuple[Any, ...]:
            return (negative(term), self.rank(term), str(term))

        text = ""
        for term in sorted(expr.args, key=order):
            less = negative(term)
            part = self.at(opposite(term) if less else term, MUL)
            if text:
                text += f" {self.minus if less else '+'} {part}"
            else:
                text = f"{self.minus}{part}" if less else part
        return text

    def rank(self, term: Any) -> int:
        """The sort order: state, gradients, parameters, numbers."""
        names = {s.name for s in term.free_symbols} - self.numbers
        names = {n for n in names if n.removesuffix(ops.NEW) not in self.numbers}
        plain = {n.removesuffix(ops.NEW) for n in names}
        if plain - {"g", "θ"}:
            return 1 if "g" in plain else 0
        if plain:
            return 2 if "g" in plain else 3
        return 4 if term.free_symbols else 5

    def _product(self, expr: Any) -> tuple[str, int]:
        if negative(expr):
            return f"{self.minus}{self.at(opposite(expr), MUL)}", ADD
        above: list[Any] = []
        below: list[Any] = []
        for factor in expr.args:
            if type(factor) is ops.Guarded:  # written as its value
                factor = factor.args[1]
            for part in factor.args if factor.is_Mul else (factor,):
                inverse = part.is_Pow and part.exp.could_extract_minus_sign()
                (below if inverse else above).append(1 / part if inverse else part)

        def order(factor: Any) -> tuple[Any, ...]:
            rank = {5: 0, 4: 1, 0: 2, 1: 3, 2: 4, 3: 5}[self.rank(factor)]
            return (rank, factor.is_Add and rank > 1, str(factor))

        above.sort(key=order)
        below.sort(key=order)
        return self.fraction(above, below), MUL

    def fraction(self, above: list[Any], below: list[Any]) -> str:
        """A product over another."""
        top = self.joined(above, 1) if above else "1"
        if not below:
            return top
        bottom = self.joined(below, len(below))
        return f"{top} / {self.parens(bottom) if len(below) > 1 else bottom}"

    def joined(self, factors: list[Any], several: int) -> str:
        """Factors side by side."""
        level = POW if len(factors) > 1 or several else MUL
        return " ".join(self.at(f, level) for f in factors)

    def _power(self, expr: Any) -> tuple[str, int]:
        base, exponent = expr.base, expr.exp
        if exponent.could_extract_minus_sign():
            return self.fraction([], [1 / expr]), MUL
        if exponent == sp.Rational(1, 2):
            return self._root(base), ATOM
        return self.raised(self.at(base, ATOM), self(exponent)), POW

    def _root(self, base: Any) -> str:
        square = base.args[0] if type(base) is ops.ArraySum and not base.args[1] else None
        if type(base) is ops.Total and base.args[0].name == "ArraySum":
            square = base.args[1]
        if square is not None and is_square(square):
            return self.norm(self(square_root(square)))
        if type(base) is ops.ArrayMean and not base.args[1] and is_square(base.args[0]):
            return f"{self.function('RMS')}{self.parens(self(square_root(base.args[0])))}"
        return self.root(base)

    def _comparison(self, expr: Any) -> str:
        a, b = _moved_numbers(*expr.args)
        op = COMPARED_OPS[type(expr)]
        if a.could_extract_minus_sign() and b.is_number:
            a, b, op = -a, -b, _MIRRORED[op]
        return f"{self(a)} {self.sign(_SIGNS[op])} {self(b)}"

    def between(self, word: str) -> str:
        """A word with the spaces around it."""
        return f" {self.word(word)} "

    # LaTeX writes the following differently.
    minus = "−"

    def sign(self, sign: str) -> str:
        return sign

    def parens(self, text: str) -> str:
        return f"({text})"

    def name(self, name: str) -> str:
        return name.removesuffix(ops.NEW)

    def decimal(self, text: str) -> str:
        return text.replace("-", "−", 1) if text.startswith("-") else text

    def word(self, word: str) -> str:
        return word

    def function(self, name: str) -> str:
        return name

    def choice(self, x: str, test: str, y: str) -> str:
        return f"{{{x} if {test}, else {y}}}"

    def norm(self, text: str) -> str:
        return f"‖{text}‖"

    def magnitude(self, text: str) -> str:
        return f"|{text}|"

    def root(self, base: Any) -> str:
        text, level = self._write(base)
        return f"√{text if level == ATOM else self.parens(text)}"

    def raised(self, base: str, exponent: str) -> str:
        if all(c in _RAISED for c in exponent):
            return base + "".join(_RAISED[c] for c in exponent.replace(" ", ""))
        single = exponent.replace(".", "").replace("_", "").isalnum()
        return f"{base}^{exponent if single else self.parens(exponent)}"


def _moved_numbers(a: Any, b: Any) -> tuple[Any, Any]:
    """t + 1 = 1 as t = 0."""
    shift = a.as_coeff_Add()[0] if a.is_Add and b.is_number else 0
    return a - shift, b - shift
