"""Operations that SymPy lacks or would rewrite; these stay as written.

Sums, products and powers are SymPy's own. A comparison is a number, 0 or 1.
"""

import math
from typing import Any

import sympy as sp


class Operation(sp.Function):
    """An operation that SymPy does not evaluate."""

    _counted: Any = None

    @classmethod
    def eval(cls, *args: Any) -> None:
        """Never simplifies."""


class ArraySum(Operation):
    """Σ x over the axes of one array: `ArraySum(x, (axes))`."""


class ArrayMean(Operation):
    """The mean of x over the axes of one array."""


class Total(Operation):
    """Σ x over every element of several arrays: `Total(x, (arrays))`."""


class Largest(Operation):
    """max x over the axes of one array."""


class Smallest(Operation):
    """min x over the axes of one array."""


class EveryElement(Operation):
    """Whether x holds for every element of one array."""


class SomeElement(Operation):
    """Whether x holds for some element of one array."""


class Where(Operation):
    """`Where(condition, x, y)`: x where the condition holds, else y."""


class Guarded(Operation):
    """Like `Where`, but y only replaces a division by 0 in x, and a remark mentions it."""


class Maximum(Operation):
    """The larger of two."""


class Minimum(Operation):
    """The smaller of two."""


class Remainder(Operation):
    """The remainder of a division."""


class Applied(Operation):
    """`Applied(name, x)`: an elementwise function by its name."""


class Unknown(Operation):
    """A part that could not be read."""


def _comparison(name: str) -> type[Operation]:
    return type(name, (Operation,), {})


COMPARED = {op: _comparison(f"Compare_{op}") for op in ("lt", "le", "gt", "ge", "eq", "ne")}


class Both(Operation):
    """Whether both conditions hold."""


class Either(Operation):
    """Whether at least one condition holds."""


class Contrary(Operation):
    """Whether a condition does not hold."""


OLD = "ₜ₋₁"  # suffix for a value of the previous step, where the new value exists already
NEW = "⁺"  # suffix for a value that this step computes: m⁺ is the new m


def symbol(name: str) -> sp.Symbol:
    """A real number or array of that name."""
    return sp.Symbol(name, real=True)


def new(name: str) -> sp.Symbol:
    """The new value of a name."""
    return symbol(name + NEW)


def number(x: float | int | bool) -> sp.Expr:
    """A constant, as the intended decimal if it is within rounding of one.

    >>> float(number(1 - 0.9)), number(0.5), number(3.0)
    (0.1, 1/2, 3)
    >>> number(math.pi / 80)
    pi/80
    """
    if isinstance(x, (bool, int)):
        return sp.Integer(int(x))
    if x != x or x in (float("inf"), float("-inf")):
        return sp.nan if x != x else sp.oo * (1 if x > 0 else -1)
    near = float(f"{x:.13g}")
    x = near if abs(near - x) <= 1e-15 * max(abs(x), 0.1) else x
    turns = sp.Rational(x / math.pi).limit_denominator(1000) if len(repr(x)) > 12 else 0
    if turns and abs(float(turns) * math.pi - x) <= 1e-13 * abs(x):
        return turns * sp.pi
    top, bottom = x.as_integer_ratio()
    return sp.Rational(top, bottom) if bottom <= 8 and abs(top) < 10**9 else sp.Float(x)


def holders(expr: Any, *kinds: type) -> set[Any]:
    """The parts of an expression that have one of these types."""
    return set(expr.atoms(*kinds))
