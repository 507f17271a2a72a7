"""Equations in LaTeX."""

from typing import Any

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.readable import HAT
from jaxopt_notes.microscope.equations.writing import Text

_GREEK = {
    letter: rf"\{name}"
    for letter, name in zip(
        "αβγδεηθκλμπρστφψω",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "eta",
            "theta",
            "kappa",
            "lambda",
            "mu",
            "pi",
            "rho",
            "sigma",
            "tau",
            "phi",
            "psi",
            "omega",
        ],
    )
}
_FUNCTIONS = ("min", "max", "cos", "sin", "tan", "exp", "log", "tanh")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


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
        index = name[len(stem) :].translate(_LOWERED)
        if not index and "_" in stem:
            stem, _, index = stem.partition("_")
            index = index if len(index) == 1 else rf"\text{{{index}}}".replace("_", r"\_")
        shown = _GREEK.get(stem, stem if len(stem) == 1 else rf"\text{{{stem}}}")
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
        known = name in _FUNCTIONS
        return rf"\{name}" if known else rf"\operatorname{{{name}}}"

    def choice(self, x: str, test: str, y: str) -> str:
        return (
            rf"\begin{{cases}} {x} & \text{{if }} {test} \\ {y} & \text{{otherwise}} "
            r"\end{cases}"
        )

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
        divided = [f for f in above if self.rank(f) < 4]  # numbers stand before the fraction
        front = [f for f in above if f not in divided]
        top = self._alone(divided) if divided else "1"
        text = rf"\frac{{{top}}}{{{self._alone(below)}}}"
        return f"{self.joined(front, 1)} {text}" if front else text

    def _alone(self, factors: list[Any]) -> str:
        """A product above or below a fraction line, without parentheses."""
        return self(factors[0]) if len(factors) == 1 else self.joined(factors, 1)
