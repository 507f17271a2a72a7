"""Evaluates one step numerically, from the very expressions that are printed."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import sympy as sp

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.system import Line, System

_APPLIED: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "sign": np.sign, "exp": np.exp, "exp2": np.exp2, "log": np.log,
    "log1p": np.log1p, "expm1": np.expm1, "cos": np.cos, "sin": np.sin, "tan": np.tan,
    "tanh": np.tanh, "floor": np.floor, "ceil": np.ceil, "round": np.round, "trunc": np.trunc,
    "cbrt": np.cbrt, "is_finite": np.isfinite, "logistic": lambda x: 1 / (1 + np.exp(-x)),
}  # fmt: skip
_COMPARED: dict[str, Callable[..., Any]] = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip
_BINARY: dict[type, Callable[..., Any]] = {
    ops.Maximum: np.maximum, ops.Minimum: np.minimum, ops.Remainder: np.fmod,
    ops.Both: np.logical_and, ops.Either: np.logical_or, ops.Contrary: np.logical_not,
    **{ops.COMPARED[op]: f for op, f in _COMPARED.items()},
}  # fmt: skip
_REDUCED: dict[type, Callable[..., Any]] = {
    ops.ArraySum: np.sum, ops.ArrayMean: np.mean, ops.Largest: np.max, ops.Smallest: np.min,
    ops.EveryElement: np.all, ops.SomeElement: np.any,
}  # fmt: skip


class Step:
    """One step of the equations on gradients, parameters and state.

    Attributes:
      case: the number of the regime whose conditions hold.
    """

    case: int

    def __init__(
        self,
        system: System,
        grads: Sequence[Any],
        params: Sequence[Any],
        slots: Sequence[Any],
        kind: Any = np.float64,
    ) -> None:
        self._system, self._old, self._kind = system, slots, kind
        self._grads, self._params = grads, params
        program = system.program
        self._own = [{"g": np.asarray(g), "θ": np.asarray(p)} for g, p in zip(grads, params)]
        self._common: dict[str, Any] = {k: kind(v) for k, v in system.constants.items()}
        for slot, letter, value in zip(program.slots, system.slots, slots):
            (self._common if slot.leaf is None else self._own[slot.leaf])[letter] = value
        self._memo: dict[Any, Any] = {}
        self._lines: list[dict[str, Line]] = [{} for _ in params]
        with np.errstate(all="ignore"):
            self._choose_lines()

    def _choose_lines(self) -> None:
        """The lines of the regime whose conditions hold."""
        regimes = self._system.regimes
        self.case = next(
            (
                case
                for case, regime in enumerate(regimes)
                if all(bool(self.value(test, 0)) == fact for test, fact in regime.conditions)
            ),
            -1,
        )
        if self.case < 0:
            raise ValueError("no case applies")
        regime = regimes[self.case]
        for group in regime.groups:
            for leaf in group.leaves:
                self._lines[leaf] = {line.target.name: line for line in group.lines}
        self._memo.clear()

    def parameters(self) -> list[Any]:
        """θ after the step."""
        with np.errstate(all="ignore"):
            return [
                np.broadcast_to(self.value(ops.new("θ"), i), p.shape)
                for i, p in enumerate(self._params)
            ]

    def state(self) -> list[Any]:
        """The state after the step."""
        slots, letters = self._system.program.slots, self._system.slots
        new = []
        with np.errstate(all="ignore"):
            for slot, letter, old in zip(slots, letters, self._old):
                leaf, name = slot.leaf or 0, f"{letter}{ops.NEW}"
                value = self.value(ops.symbol(name), leaf) if name in self._lines[leaf] else old
                new.append(np.broadcast_to(value, np.shape(old)))
        return new

    def value(self, expr: sp.Expr, leaf: int) -> Any:
        """An expression's number, or the array of them, for one array of parameters."""
        key = (expr, -1 if type(expr) is ops.Total else leaf)
        if key not in self._memo:
            self._memo[key] = self._compute(expr, leaf)
        return self._memo[key]

    def _compute(self, expr: Any, leaf: int) -> Any:
        if expr.is_Symbol:
            return self._symbol(expr.name, leaf)
        if expr.is_number and not expr.args:
            return self._number(expr)
        kind = type(expr)
        if kind is ops.Total:
            return self._total(expr)
        if kind in _REDUCED:
            x = np.broadcast_to(self.value(expr.args[0], leaf), self._grads[leaf].shape)
            axes = tuple(int(a) for a in expr.args[1])
            whole = not axes  # no axes named means all axes
            return _REDUCED[kind](x, axis=None if whole else axes, keepdims=not whole)
        if kind is ops.Applied:
            return self._applied(expr, leaf)
        args = [self.value(a, leaf) for a in expr.args]
        if expr.is_Add or expr.is_Mul:
            total = args[0]
            for a in args[1:]:
                total = total + a if expr.is_Add else total * a
            return total
        if expr.is_Pow:
            return _power(args[0], expr.exp, args[1])
        if kind in (ops.Where, ops.Guarded):
            return np.where(*args)
        if kind is sp.Abs:
            return np.abs(args[0])
        if kind in _BINARY:
            return _BINARY[kind](*args)
        raise ValueError(f"{kind.__name__} has no number")

    def _number(self, expr: Any) -> Any:
        if expr.is_Rational:
            return self._kind(int(expr.p)) / self._kind(int(expr.q))
        return self._kind(float(expr))

    def _symbol(self, name: str, leaf: int) -> Any:
        line = self._lines[leaf].get(name)
        if line is not None:
            value = self.value(line.expr, leaf)
            return self._own[leaf]["θ"] + value if line.kind == "parameter" else value
        own, name = self._own[leaf], name.removesuffix(ops.OLD)
        if name in own or name in self._common:
            return own[name] if name in own else self._common[name]
        raise ValueError(f"{name} has no value")

    def _total(self, expr: Any) -> Any:
        kind, formula, leaves = expr.args
        values = [self.value(formula, int(i)) for i in leaves]
        shapes = [self._grads[int(i)].shape for i in leaves]
        if kind.name == "EveryElement":
            return all(bool(np.all(v)) for v in values)
        return sum(np.sum(np.broadcast_to(v, s)) for v, s in zip(values, shapes))

    def _applied(self, expr: Any, leaf: int) -> Any:
        name = expr.args[0].name
        x = self.value(expr.args[1], leaf)
        if name in _APPLIED:
            return _APPLIED[name](x)
        with jax.enable_x64(True):  # a schedule that is called, because its program was not read
            schedule = self._system.program.schedules[name]
            return np.float64(schedule(jax.numpy.asarray(int(x), np.int32)))


def _power(base: Any, exponent: sp.Expr, value: Any) -> Any:
    if exponent == sp.Rational(1, 2):
        return np.sqrt(base)
    if exponent == -sp.Rational(1, 2):
        return 1 / np.sqrt(base)
    if exponent == -1:
        return 1 / np.asarray(base)
    return np.power(np.asarray(base), value)
