"""The look of an expression: with a minus, or as a square."""

from typing import Any

import sympy as sp


def negative(expr: Any) -> bool:
    """Whether a term is written with a minus: a sum of negative terms is negative."""
    if expr.is_Mul:
        return sum(map(negative, expr.args)) % 2 == 1
    if expr.is_Add:
        return all(map(negative, expr.args))
    return bool(expr.is_number and not expr.args and expr < 0)


def opposite(expr: Any) -> Any:
    """A negative term without its minus signs, those of its sums included."""
    if expr.is_Mul:
        factors = [opposite(a) if negative(a) else a for a in expr.args]
        factors = [f for f in factors if f != 1]
        # Not evaluated: SymPy would multiply a number into a sum.
        return sp.Mul(*factors, evaluate=False) if len(factors) > 1 else factors[0]
    return sp.Add(*[-a for a in expr.args]) if expr.is_Add else -expr


def is_square(expr: Any) -> bool:
    """Whether the expression is the square of something simpler."""
    if expr.is_Mul:
        return all(is_square(a) or a.is_positive for a in expr.args)
    return bool(expr.is_Pow and expr.exp == 2)


def square_root(expr: Any) -> Any:
    """The root of a square."""
    if expr.is_Mul:
        return sp.Mul(*map(square_root, expr.args))
    return expr.base if expr.is_Pow else sp.sqrt(expr)
