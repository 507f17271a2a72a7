"""A reader of the equations that our pages and docstrings print: text in, numbers out."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Env = Mapping[str, Any]
Value = Callable[[Env], Any]

_HAT = "\u0302"
_NAME = rf"[A-Za-zα-ω]+(?:_root)?{_HAT}?[0-9₀-₉]*(?:_t|_1|_0|_\{{t[−-]1\}})?"
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>\d+(?:\.\d+)?(?:e[-−+]?\d+)?)|(?P<name>{_NAME})"
    r"|(?P<raised>[⁰¹²³⁴-⁹⁺⁻ᵗ]+)|(?P<power>\^(?:\{[^}]*\}|\([^)]*\)|[A-Za-z]|[\d.]+))"
    r"|(?P<sign>[-−+/·(),√|‖]))"
)
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵗ₀₁₂₃₄₅₆₇₈₉", "0123456789+-t0123456789")
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sign": np.sign,
    "max": np.maximum,
    "min": np.minimum,
}
_STATEMENT = re.compile(rf"(?<![\w{_HAT}])({_NAME})\s*(←|=)\s*")


class NotationError(ValueError):
    """The text is not an equation."""


def plain(name: str) -> str:
    """A name as the environment has it: β₁ and β1 are one; v_t is v."""
    return name.translate(_PLAIN).removesuffix("_t")


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if not match:
                raise NotationError(f"{text[at:]!r} in {text!r}")
            self.tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
            at = match.end()
        self.text = text

    def peek(self) -> tuple[str, str]:
        return self.tokens[0] if self.tokens else ("", "")

    def take(self, text: str = "") -> str:
        kind, word = self.peek()
        if not kind or (text and word != text):
            raise NotationError(f"{text or 'more'} is missing in {self.text!r}")
        self.tokens.pop(0)
        return word

    def sum(self) -> Value:
        total = self.term(self.take() if self.peek()[1] in ("-", "−", "+") else "+")
        while self.peek()[1] in ("-", "−", "+"):
            total = _both(total, self.term(self.take()), np.add)
        return total

    def term(self, sign: str) -> Value:
        value = self.product()
        return value if sign == "+" else (lambda env: -value(env))

    def product(self) -> Value:
        value = self.factor()
        while True:
            kind, word = self.peek()
            if word == "/":
                self.take()
                value = _both(value, self.factor(), np.divide)
            elif word == "·" or kind in ("number", "name") or word in ("(", "√"):
                if word == "·":
                    self.take()
                value = _both(value, self.factor(), np.multiply)
            else:
                return value

    def factor(self) -> Value:
        kind, word = self.peek()
        if word == "√":
            self.take()
            inner = self.factor()
            return lambda env: np.sqrt(inner(env))
        base = self.atom(kind)
        kind, word = self.peek()
        if kind in ("raised", "power"):
            self.take()
            exponent = _Reader(word.strip("^{}()").translate(_PLAIN)).sum()
            return _both(base, exponent, np.power)
        return base

    def atom(self, kind: str) -> Value:
        word = self.take()
        if kind == "number":
            return lambda env: np.float64(word.replace("−", "-"))
        if word in _FUNCTIONS:
            self.take("(")
            args = [self.sum()]
            while self.peek()[1] == ",":
                self.take()
                args.append(self.sum())
            self.take(")")
            return lambda env: _FUNCTIONS[word](*(a(env) for a in args))
        if kind == "name":
            return lambda env: env[plain(word)]
        if word == "(":
            value = self.sum()
            self.take(")")
            return value
        if word == "|":
            value = self.sum()
            self.take("|")
            return lambda env: np.abs(value(env))
        raise NotationError(f"{word!r} in {self.text!r}")


def _both(a: Value, b: Value, combine: Callable[..., Any]) -> Value:
    return lambda env: combine(a(env), b(env))


def read(text: str) -> Value:
    """The value of a formula, as a function of the values of its names."""
    reader = _Reader(text)
    value = reader.sum()
    if reader.tokens:
        raise NotationError(f"{reader.tokens[0][1]!r} is left over of {text!r}")
    return value


def statements(text: str) -> list[tuple[str, Value]]:
    """The equations of a text, `name ← formula` or `name = formula`, in its order."""
    marks = list(_STATEMENT.finditer(text))
    if not marks:
        raise NotationError(f"no equation in {text!r}")
    equations = []
    for mark, following in zip(marks, [*marks[1:], None]):
        body = text[mark.end() : following.start() if following else len(text)]
        body = re.sub(r"(\s*([,;.:]|with|then|also|or)\s*)+$", "", body)
        equations.append((mark[1].translate(_PLAIN), read(body)))
    return equations


class _Names(dict[str, Any]):
    """The values of a step; a name with a hat is computed when it is asked for."""

    def __init__(self, values: Env, lazy: Mapping[str, Value]) -> None:
        super().__init__(values)
        self._lazy = lazy

    def __missing__(self, name: str) -> Any:
        if name not in self._lazy:
            raise NotationError(f"{name} has no value")
        return self._lazy[name](self)


def step(equations: list[tuple[str, Value]], values: Env) -> dict[str, Any]:
    """All values after a step: θ moves by u, if the equations give u."""
    lazy = {plain(name): value for name, value in equations if _HAT in name}
    env = _Names(values, lazy)
    env |= {f"{name}_{{t−1}}": value for name, value in values.items()}
    for name, value in equations:
        if _HAT in name or name.endswith("_0"):
            continue
        if name.endswith("_1"):  # only the first step
            if env["t"] == 1:
                env[name.removesuffix("_1")] = env["first"] = value(env | {"g_1": env["g"]})
        elif not (env.get("first") is not None and env["t"] == 1 and plain(name) == "v"):
            env[plain(name)] = value(env)
    if "u" in env:
        env["θ"] = env["θ"] + env.pop("u")
    return dict(env)
