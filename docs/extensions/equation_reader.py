"""Reads an equation in plain text, `θ ← θ − α m̂_t / (√v̂_t + ε)`, and writes it as LaTeX.

Two letters side by side are a product; `/` divides the whole product before it by the one factor
behind it; `√` takes one factor. What is not wholly understood stays as it is written.
"""

import re

TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>\d+(?:[.,]\d+)*(?:e-?\d+)?)"
    r"|(?P<name>[A-Za-z]{2,}(?:_[A-Za-z]+)+\d*)"
    r"|(?P<word>[A-Za-z]{2,}(?:'s)?|[\u3040-\u9fff]+)"
    r"|(?P<symbol>[A-Za-zΑ-Ωα-ωϵ]\u0302?)"
    r"|(?P<power>[²³ᵗⁱ⁺⁻¹ⁿ⁰]+)"
    r"|(?P<index>[₀₁₂₃ₜ₋]+)"
    r"|(?P<mark>[_^])"
    r"|(?P<other>.)"
)
FUNCTIONS = {"lr", "sign", "max", "min", "log", "exp", "softmax", "IG", "clip", "mean"}
RELATIONS = {
    "←": r"\leftarrow",
    "=": "=",
    "≥": r"\ge",
    "≤": r"\le",
    "≈": r"\approx",
    ">": ">",
    "<": "<",
    "≠": r"\ne",
}
SIGNS = {"+": "+", "−": "-", "-": "-", "±": r"\pm"}
BIG = {"Σ": r"\sum", "Π": r"\prod"}
FACTORS = ("number", "symbol", "name", "word")
STARTS = set("√∇…([{|‖")
RAISED = str.maketrans("²³ᵗⁱ⁺⁻¹ⁿ⁰", "23ti+-1n0")
LOWERED = str.maketrans("₀₁₂₃ₜ₋", "0123t-")
CLOSING = {"(": ")", "[": "]", "|": "|", "‖": "‖"}


class NotAnEquationError(ValueError):
    """The text is something else."""


def tokens(text: str) -> list[tuple[str, str, int]]:
    return [(m.lastgroup or "", m.group(), m.start()) for m in TOKEN.finditer(text)]


class Reader:
    """Reads one equation from left to right."""

    def __init__(self, text: str) -> None:
        self.tokens = tokens(text)
        self.at = 0
        self.open: list[str] = []  # the brackets that are to be closed

    def skip(self) -> bool:
        space = self.at < len(self.tokens) and self.tokens[self.at][0] == "space"
        self.at += space
        return space

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at][:2] if self.at < len(self.tokens) else ("", "")

    def take(self, expected: str = "") -> str:
        part = self.peek()[1]
        if not part or (expected and part != expected):
            raise NotAnEquationError(part)
        self.at += 1
        return part

    def whole(self) -> str:
        text = self.relations()
        self.skip()
        if self.peek()[0]:
            raise NotAnEquationError(self.peek()[1])
        return text

    def relations(self) -> str:
        text = self.sum()
        while self.skip() or True:
            if self.peek()[1] not in RELATIONS:
                return text
            text += f" {RELATIONS[self.take()]} {self.sum()}"

    def sum(self) -> str:
        self.skip()
        text = ""
        if self.peek()[1] in SIGNS:
            text = SIGNS[self.take()]
        text += self.product()
        while self.skip() or True:
            if self.peek()[1] not in SIGNS:
                return text
            text += f" {SIGNS[self.take()]} {self.product()}"

    def product(self) -> str:
        """Factors side by side; a fraction takes those since the last dot or sum sign."""
        done: list[str] = []
        factors: list[str] = []
        while True:
            self.skip()
            kind, part = self.peek()
            if part == "·":
                self.take()
                done += [*factors, r"\cdot"]
                factors = []
            elif part == "/":
                self.take()
                self.skip()
                over = _bare(factors[0]) if len(factors) == 1 else " ".join(factors)
                if not factors:
                    raise NotAnEquationError(part)
                factors = [rf"\frac{{{over}}}{{{_bare(self.factor())}}}"]
            elif part in BIG:
                done += [*factors, BIG[self.take()] + self.scripts()]
                factors = []
            elif self._begins_factor(kind, part):
                factors.append(self.factor())
            elif done + factors:
                return " ".join(done + factors)
            else:
                raise NotAnEquationError(part)

    def _begins_factor(self, kind: str, part: str) -> bool:
        if kind == "word":
            return part in FUNCTIONS or [t[1] for t in self.tokens[self.at + 1 :][:1]] == ["("]
        return kind in FACTORS or (part in STARTS and part not in self.open[-1:])

    def factor(self) -> str:
        kind, part = self.peek()
        if part == "√":
            self.take()
            return rf"\sqrt{{{_bare(self.factor())}}}"
        if part in CLOSING:
            return self.group() + self.scripts()
        if part == "{":
            return self.cases()
        self.take()
        if part == "…":
            return r"\dots"
        if part == "∇":
            return rf"\nabla {self.factor()}"
        if kind == "word" and part not in FUNCTIONS and self.peek()[1] != "(":
            raise NotAnEquationError(part)
        if kind not in FACTORS:
            raise NotAnEquationError(part)
        name = rf"\mathrm{{{part}}}" if kind in ("word", "name") else part
        name = name.replace("_", r"\_")
        if kind == "number" and "e" in part:  # 1e-08
            digits, exponent = part.split("e")
            power = f"10^{{{int(exponent)}}}"
            return power if digits == "1" else rf"{digits} \cdot {power}"
        if part.endswith("\u0302"):
            name = rf"\hat{{{part[0]}}}"
        if kind == "symbol" and self.peek()[0] == "number":  # β1
            name += f"_{self.take()}"
            return name + self.scripts().replace("_", "", 1)
        name += self.scripts()
        if kind in ("symbol", "word", "name") and self.peek()[1] == "(":  # a function's arguments
            name += self.group() + self.scripts()
        return name

    def group(self) -> str:
        """What stands in brackets: equations between commas, or words."""
        opening = self.take()
        closing = CLOSING[opening]
        start = self.at
        self.open.append(closing)
        try:
            parts = [self.relations()]
            while self.skip() or self.peek()[1] == ",":
                if self.peek()[1] == ",":
                    self.take()
                    parts.append(self.relations())
            self.take(closing)
            inside = ", ".join(parts)
            self.open.pop()
        except NotAnEquationError:
            self.at = start
            self.open.pop()
            words = ""
            while self.peek()[1] != closing:
                words += self.take()
            self.take(closing)
            if not re.search(r"[^\W\d_]{2}", words) or re.search(r"[=←(]", words):
                raise
            inside = rf"\text{{{words}}}"
        if r"\frac" in inside or r"\sum" in inside:  # brackets as high as what they hold
            return rf"\left{opening} {inside} \right{closing}"
        return f"{opening}{inside}{closing}"

    def cases(self) -> str:
        """`{a if p, else b}`."""
        self.take("{")
        first = self.sum()
        self.skip()
        self.take("if")
        condition = self.relations()
        self.take(",")
        self.skip()
        self.take("else")
        second = self.sum()
        self.skip()
        self.take("}")
        lines = rf"{first} & \text{{if }} {condition} \\ {second} & \text{{else}}"
        return rf"\begin{{cases}} {lines} \end{{cases}}"

    def scripts(self) -> str:
        """Subscripts and powers."""
        below = above = ""
        while True:
            kind, part = self.peek()
            if kind == "power":
                above += self.take().translate(RAISED)
            elif kind == "index":
                below += self.take().translate(LOWERED)
            elif part == "_":
                self.take()
                below += self.script()
            elif part == "^":
                self.take()
                above += self.script()
            else:
                return (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")

    def script(self) -> str:
        if self.peek()[1] == "(":
            return _bare(self.group())
        if self.peek()[1] != "{":
            kind = self.peek()[0]
            return rf"\mathrm{{{self.take()}}}" if kind == "word" else self.take()
        self.take()
        text = self.sum()
        self.skip()
        self.take("}")
        return text


def _bare(text: str) -> str:
    """Without the brackets around all of it, which a fraction's bar or a root make needless."""
    inside = re.sub(r"^(\\left)?\(\s?|\s?(\\right)?\)$", "", text)
    whole = text.endswith(")") and text.startswith(("(", r"\left("))
    return inside if whole and _balanced(inside) else text


def _balanced(text: str) -> bool:
    depth = 0
    for bracket in re.findall(r"[()]", text):
        depth += 1 if bracket == "(" else -1
        if depth < 0:
            return False
    return depth == 0
