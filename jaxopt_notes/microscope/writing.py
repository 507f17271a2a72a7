"""Equations as text in Unicode and in LaTeX, their terms in the order of a paper."""

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from jaxopt_notes.microscope import operations as ops
from jaxopt_notes.microscope.readable import HAT

_ADD, _MUL, _POW, _ATOM = 1, 2, 3, 4
_RAISED = dict(zip("0123456789+−tkni()= ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵗᵏⁿⁱ⁽⁾⁼\u200a"))
_SIGNS = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "=", "ne": "≠"}
_CONTRARY = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}
_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_COMPARED = {kind: op for op, kind in ops.COMPARED.items()}
_LATEX = {"π": r"\pi", "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\epsilon",
          "η": r"\eta", "θ": r"\theta", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu",
          "τ": r"\tau", "ρ": r"\rho"}  # fmt: skip
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


class Text:
    """Writes expressions in Unicode.

    Args:
      numbers: the names that stand for numbers, such as α and β₁; products begin with them.
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

    def _at(self, expr: sp.Expr, level: int) -> str:
        """The expression as part of one that binds as strongly as `level`."""
        text, own = self._write(expr)
        if type(expr) in _COMPARED:  # 1 where it holds, else 0
            return f"[{text}]"
        return text if own >= level else self.parens(text)

    def _write(self, expr: Any) -> tuple[str, int]:
        if expr.is_Symbol:
            return self.name(expr.name), _ATOM
        if expr.is_number and not expr.args:
            return self._number(expr)
        if expr.is_Add:
            return self._sum(expr), _ADD
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow:
            return self._power(expr)
        kind = type(expr)
        if kind is ops.Guarded:
            return self._write(expr.args[1])
        if kind in _COMPARED:
            return self._comparison(expr), _ADD
        if kind in _CALLS:
            return _CALLS[kind](self, expr), _ADD if kind is ops.Remainder else _ATOM
        return f"{kind.__name__}({', '.join(map(self, expr.args))})", _ATOM

    def _number(self, expr: Any) -> tuple[str, int]:
        if expr.is_Integer:
            return str(int(expr)), _ATOM if expr >= 0 else _ADD
        if expr is sp.oo:
            return "∞", _ATOM
        if expr is sp.pi:
            return self.name("π"), _ATOM
        x = float(expr)
        return self.decimal(f"{x:.13g}"), _ATOM if x >= 0 else _ADD

    def _sum(self, expr: Any) -> str:
        def order(term: Any) -> tuple[Any, ...]:
            negative = _negative(term)
            return (negative, self._rank(term), str(term))

        text = ""
        for term in sorted(expr.args, key=order):
            negative = _negative(term)
            part = self._at(_opposite(term) if negative else term, _MUL)
            if text:
                text += f" {self.minus if negative else '+'} {part}"
            else:
                text = f"{self.minus}{part}" if negative else part
        return text

    def _rank(self, term: Any) -> int:
        """State before gradients before parameters before what is a number."""
        names = {s.name for s in term.free_symbols} - self.numbers
        names = {n for n in names if n.removesuffix(ops.NEW) not in self.numbers}
        plain = {n.removesuffix(ops.NEW) for n in names}
        if plain - {"g", "θ"}:
            return 1 if "g" in plain else 0
        if plain:
            return 2 if "g" in plain else 3
        return 4 if term.free_symbols else 5

    def _product(self, expr: Any) -> tuple[str, int]:
        if _negative(expr):
            return f"{self.minus}{self._at(_opposite(expr), _MUL)}", _ADD
        above, below = [], []
        for factor in expr.args:
            if type(factor) is ops.Guarded:  # written as its value
                factor = factor.args[1]
            for part in factor.args if factor.is_Mul else (factor,):
                inverse = part.is_Pow and part.exp.could_extract_minus_sign()
                (below if inverse else above).append(1 / part if inverse else part)

        def order(factor: Any) -> tuple[Any, ...]:
            rank = {5: 0, 4: 1, 0: 2, 1: 3, 2: 4, 3: 5}[self._rank(factor)]
            return (rank, factor.is_Add and rank > 1, str(factor))

        above.sort(key=order)
        below.sort(key=order)
        return self.fraction(above, below), _MUL

    def fraction(self, above: list[Any], below: list[Any]) -> str:
        """A product over another."""
        top = self.joined(above, 1) if above else "1"
        if not below:
            return top
        bottom = self.joined(below, len(below))
        return f"{top} / {self.parens(bottom) if len(below) > 1 else bottom}"

    def joined(self, factors: list[Any], several: int) -> str:
        """Factors side by side."""
        level = _POW if len(factors) > 1 or several else _MUL
        return " ".join(self._at(f, level) for f in factors)

    def _power(self, expr: Any) -> tuple[str, int]:
        base, exponent = expr.base, expr.exp
        if exponent.could_extract_minus_sign():
            return self.fraction([], [1 / expr]), _MUL
        if exponent == sp.Rational(1, 2):
            return self._root(base), _ATOM
        return self.raised(self._at(base, _ATOM), self(exponent)), _POW

    def _root(self, base: Any) -> str:
        square = base.args[0] if type(base) is ops.ArraySum and not base.args[1] else None
        if type(base) is ops.Total and base.args[0].name == "ArraySum":
            square = base.args[1]
        if square is not None and _is_square(square):
            return self.norm(self(_square_root(square)))
        if type(base) is ops.ArrayMean and not base.args[1] and _is_square(base.args[0]):
            return f"{self.function('RMS')}{self.parens(self(_square_root(base.args[0])))}"
        return self.root(base)

    def _comparison(self, expr: Any) -> str:
        a, b = _moved_numbers(*expr.args)
        op = _COMPARED[type(expr)]
        if a.could_extract_minus_sign() and b.is_number:
            a, b, op = -a, -b, _MIRRORED[op]
        return f"{self(a)} {self.sign(_SIGNS[op])} {self(b)}"

    def between(self, word: str) -> str:
        """A word with the spaces around it."""
        return f" {self.word(word)} "

    # What LaTeX writes in another way.
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
        return f"√{text if level == _ATOM else self.parens(text)}"

    def raised(self, base: str, exponent: str) -> str:
        if all(c in _RAISED for c in exponent):
            return base + "".join(_RAISED[c] for c in exponent.replace(" ", ""))
        single = exponent.replace(".", "").replace("_", "").isalnum()
        return f"{base}^{exponent if single else self.parens(exponent)}"


class Latex(Text):
    """Writes expressions in LaTeX."""

    minus = "-"

    def sign(self, sign: str) -> str:
        return {"≤": r"\le", "≥": r"\ge", "≠": r"\ne"}.get(sign, sign)

    def parens(self, text: str) -> str:
        return rf"\left({text}\right)"

    def name(self, name: str) -> str:
        name = name.removesuffix(ops.NEW)
        if HAT in name:
            stem, index = name.split(HAT)
            below = index.translate(_LOWERED)
            return rf"\hat{{{self.name(stem)}}}" + (f"_{{{below}}}" if below else "")
        stem = name.rstrip("₀₁₂₃₄₅₆₇₈₉")
        index = name[len(stem):].translate(_LOWERED)
        if not index and "_" in stem:
            stem, _, index = stem.partition("_")
            index = index if len(index) == 1 else rf"\text{{{index}}}".replace("_", r"\_")
        shown = _LATEX.get(stem, stem if len(stem) == 1 else rf"\text{{{stem}}}")
        return f"{shown}_{{{index}}}" if index else shown

    def decimal(self, text: str) -> str:
        digits, e, power = text.partition("e")
        if not e:
            return text
        return (f"{digits} \\cdot " if digits != "1" else "") + f"10^{{{int(power)}}}"

    def word(self, word: str) -> str:
        return rf"\text{{ {word} }}"

    def function(self, name: str) -> str:
        if name == "Σ":
            return r"\sum"
        known = name in ("min", "max", "cos", "sin", "tan", "exp", "log", "tanh")
        return rf"\{name}" if known else rf"\operatorname{{{name}}}"

    def choice(self, x: str, test: str, y: str) -> str:
        return (rf"\begin{{cases}} {x} & \text{{if }} {test} \\ {y} & \text{{otherwise}} "
                r"\end{cases}")

    def norm(self, text: str) -> str:
        return rf"\left\|{text}\right\|"

    def magnitude(self, text: str) -> str:
        return rf"\left|{text}\right|"

    def root(self, base: Any) -> str:
        return rf"\sqrt{{{self(base)}}}"

    def raised(self, base: str, exponent: str) -> str:
        return f"{{{base}}}^{{{exponent}}}"

    def fraction(self, above: list[Any], below: list[Any]) -> str:
        if not below:
            return self.joined(above, 1)
        divided = [f for f in above if self._rank(f) < 4]  # numbers stand before the fraction
        front = [f for f in above if f not in divided]
        top = self._alone(divided) if divided else "1"
        text = rf"\frac{{{top}}}{{{self._alone(below)}}}"
        return f"{self.joined(front, 1)} {text}" if front else text


    def _alone(self, factors: list[Any]) -> str:
        """A product that a line above or below it sets apart."""
        return self(factors[0]) if len(factors) == 1 else self.joined(factors, 1)


def _negative(expr: Any) -> bool:
    """Whether a term is written with a minus: a sum of negative terms is negative."""
    if expr.is_Mul:
        return sum(map(_negative, expr.args)) % 2 == 1
    if expr.is_Add:
        return all(map(_negative, expr.args))
    return bool(expr.is_number and not expr.args and expr < 0)


def _opposite(expr: Any) -> Any:
    """A negative term without its minus, its sums without theirs."""
    if expr.is_Mul:
        return sp.Mul(*[_opposite(a) if _negative(a) else a for a in expr.args])
    return sp.Add(*[-a for a in expr.args]) if expr.is_Add else -expr


def _is_square(expr: Any) -> bool:
    if expr.is_Mul:
        return all(_is_square(a) or a.is_positive for a in expr.args)
    return bool(expr.is_Pow and expr.exp == 2)


def _square_root(expr: Any) -> Any:
    if expr.is_Mul:
        return sp.Mul(*map(_square_root, expr.args))
    return expr.base if expr.is_Pow else sp.sqrt(expr)


def _moved_numbers(a: Any, b: Any) -> tuple[Any, Any]:
    """t + 1 = 1 as t = 0."""
    shift = a.as_coeff_Add()[0] if a.is_Add and b.is_number else 0
    return a - shift, b - shift


def _flat(kind: type, expr: Any) -> list[Any]:
    return [x for a in expr.args for x in (_flat(kind, a) if type(a) is kind else [a])]


def _extreme(kind: type, word: str) -> Callable[[Text, Any], str]:
    def write(text: Text, expr: Any) -> str:
        return f"{text.function(word)}{text.parens(', '.join(map(text, _flat(kind, expr))))}"

    return write


def _contrary(text: Text, expr: Any) -> str:
    (inner,) = expr.args
    if type(inner) in _COMPARED:
        return text(ops.COMPARED[_CONTRARY[_COMPARED[type(inner)]]](*inner.args))
    if type(inner) is ops.Contrary:
        return text(inner.args[0])
    if type(inner) in (ops.Either, ops.Both):
        other = ops.Both if type(inner) is ops.Either else ops.Either
        return text(other(*map(ops.Contrary, inner.args)))
    return f"{text.word('not')} {text._at(inner, _POW)}"


def _where(text: Text, expr: Any) -> str:
    test, x, y = expr.args
    if x == 1 and y == 0:
        return f"[{text(test)}]"
    return text.choice(text(x), text(test), text(y))


def _applied(text: Text, expr: Any) -> str:
    name, *args = expr.args
    if name.name == "abs":
        return text.magnitude(text(args[0]))
    if name.name == "is_finite":
        return f"{text(args[0])} {text.word('is finite')}"
    if name.name == "cbrt":
        return text.raised(text._at(args[0], _ATOM), "1/3")
    return f"{text.function(name.name)}{text.parens(', '.join(map(text, args)))}"


def _over(word: str) -> Callable[[Text, Any], str]:
    def write(text: Text, expr: Any) -> str:
        inner, axes = expr.args
        along = f" {text.word('along axis')} {', '.join(str(a) for a in axes)}" if axes else ""
        return f"{text.function(word)}{text.parens(text(inner) + along)}"

    return write


def _total(text: Text, expr: Any) -> str:
    kind, inner, _ = expr.args
    if kind.name == "EveryElement":
        return f"{text.word('every')} {text(inner)}"
    if _is_square(inner):
        return text.raised(text.norm(text(_square_root(inner))), "2")
    return f"{text.function('Σ')}{text.parens(text(inner))}"


def _sum_of_array(text: Text, expr: Any) -> str:
    inner, axes = expr.args
    if not axes and _is_square(inner):
        return text.raised(text.norm(text(_square_root(inner))), "2")
    return _over("Σ")(text, expr)


_CALLS: dict[type, Callable[[Text, Any], str]] = {
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
    ops.Remainder: lambda text, e: f"{text._at(e.args[0], _POW)} {text.word('mod')} {text(e.args[1])}",
    sp.Abs: lambda text, e: text.magnitude(text(e.args[0])),
    ops.Unknown: lambda text, e: f"?{e.args[0].name}",
}
