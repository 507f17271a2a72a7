"""From the graph of a step to its equations: SymPy expressions, one for each value it computes."""

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from jaxopt_notes.microscope.equations import operations as ops
from jaxopt_notes.microscope.equations.graph import Graph
from jaxopt_notes.microscope.equations.nodes import SCALAR, Node

AT = "@"  # joins a letter and its array, until the equations are grouped


class Writer:
    """Writes the graph's values as expressions of named values.

    Attributes:
      graph: the values.
      inputs: the symbol of an input, by its number in the graph.
      names: values that have a name.
    """

    def __init__(self, graph: Graph, inputs: Mapping[int, sp.Expr]) -> None:
        self.graph, self.inputs = graph, inputs
        self.names: dict[int, sp.Symbol] = {}

    def define(self, i: int) -> sp.Expr:
        """The value's expression in terms of other names."""
        own = self.names.pop(i, None)
        try:
            return self.write(i)
        finally:
            if own is not None:
                self.names[i] = own

    def write(self, root: int) -> sp.Expr:
        """The value's name, or its expression in named values."""
        done: dict[int, sp.Expr] = {}
        for i in sorted(self.until_names(root)):
            node = self.graph.nodes[i]
            if i in self.names:
                done[i] = self.names[i]
            elif i in self.inputs:
                done[i] = self.inputs[i]
            else:
                done[i] = self._operation(i, node, [done[a] for a in node.args])
        return done[root]

    def until_names(self, root: int) -> set[int]:
        """The values below a value, down to named ones."""
        seen: set[int] = set()
        waiting = [root]
        while waiting:
            i = waiting.pop()
            if i not in seen:
                seen.add(i)
                waiting += () if i in self.names or i in self.inputs else self.graph.nodes[i].args
        return seen

    def _operation(self, i: int, node: Node, args: list[sp.Expr]) -> sp.Expr:
        op = node.op
        if op == "number":
            return ops.number(node.param)
        if op == "arranged":
            return args[0]
        if op == "add":
            total = sp.Add(*args)
            return self.totals(total) if self.graph.places[i] == SCALAR else total
        if op in _REDUCED:
            return _REDUCED[op](args[0], sp.Tuple(*map(sp.Integer, node.param)))
        if op in ("and", "or") and all(isinstance(a, ops.EveryElement | ops.Total) for a in args):
            return self.totals(_LOGIC[op](*args))
        if op in _WRITTEN:
            return _WRITTEN[op](*args)
        if op == "select":
            return self._select(node, args)
        if op in ops.COMPARED:
            return ops.COMPARED[op](*args)
        if op == "unknown":
            return ops.Unknown(sp.Symbol(str(node.param[0])), *args)
        if op in ("table", "schedule"):
            return ops.Unknown(sp.Symbol(op))
        return ops.Applied(sp.Symbol(op), *args)

    def _select(self, node: Node, args: list[sp.Expr]) -> sp.Expr:
        pred, yes, no = node.args
        test, x, y = args
        if self._guards(pred, yes, no):
            return ops.Guarded(test, x, y)
        if self._guards(pred, no, yes):
            return ops.Guarded(ops.Contrary(test), y, x)
        return ops.Where(test, x, y)

    def _guards(self, pred: int, value: int, instead: int) -> bool:
        """Whether a number replaces a value that would divide by the tested quantity."""
        graph = self.graph
        if graph.constant(instead) is None:
            return False
        tested = {
            a
            for node in graph.operands(pred, *ops.COMPARED)
            for a in node.args
            if graph.constant(a) is None
        }
        below = {
            i
            for node in graph.operands(value, "div", "rsqrt", "pow")
            for i in graph.below([node.args[-1 if node.op == "div" else 0]])
        }
        zero = any(
            graph.constant(a) == 0
            for node in graph.operands(pred, *ops.COMPARED)
            for a in node.args
        )
        return zero and bool(tested & below)

    def totals(self, expr: sp.Expr) -> sp.Expr:
        """Merges sums of one formula over several arrays into one total."""
        groups: dict[Any, set[int]] = {}
        rest = []
        for term in expr.args if isinstance(expr, sp.Add | ops.Both | ops.Either) else (expr,):
            coefficient, part = term.as_coeff_Mul() if isinstance(term, sp.Mul) else (1, term)
            key = _total_key(part)
            if key is None:
                rest.append(term)
            else:
                groups.setdefault((coefficient, key[0]), set()).update(key[1])
        if not groups:
            return expr
        written = [c * _total(formula, leaves) for (c, formula), leaves in groups.items()]
        if all(len(leaves) == 1 for leaves in groups.values()):
            return expr  # these are sums over different arrays
        return expr.func(*written, *rest) if len(written) + len(rest) > 1 else written[0]


def _total_key(part: sp.Expr) -> tuple[Any, set[int]] | None:
    """The summed formula, without the array's name, and the arrays."""
    if isinstance(part, ops.Total):
        return (part.args[0], part.args[1]), {int(i) for i in part.args[2]}
    if isinstance(part, ops.ArraySum | ops.EveryElement):
        leaves = leaves_of(part)
        if len(leaves) == 1:
            (leaf,) = leaves
            return (sp.Symbol(type(part).__name__), generic(part.args[0], leaf)), {leaf}
    return None


def _total(formula: Any, leaves: set[int]) -> sp.Expr:
    kind, inner = formula
    return ops.Total(kind, inner, sp.Tuple(*map(sp.Integer, sorted(leaves))))


def leaves_of(expr: sp.Expr) -> set[int]:
    """The arrays whose values occur in an expression."""
    return {int(s.name.partition(AT)[2]) for s in expr.free_symbols if AT in s.name}


def generic(expr: sp.Expr, leaf: int) -> sp.Expr:
    """The expression for any array: `m@3` is m where the array is number 3."""
    mine = {
        s: ops.symbol(s.name.partition(AT)[0])
        for s in expr.free_symbols
        if s.name.endswith(f"{AT}{leaf}")
    }
    return expr.xreplace(mine)


def _minus(expr: sp.Expr) -> sp.Expr:
    """The negative, distributed over a sum."""
    return sp.Add(*[-a for a in expr.args]) if expr.is_Add else -expr


_REDUCED: dict[str, type] = {
    "sum": ops.ArraySum,
    "mean": ops.ArrayMean,
    "largest": ops.Largest,
    "smallest": ops.Smallest,
    "all": ops.EveryElement,
    "any": ops.SomeElement,
}
_LOGIC: dict[str, type] = {"and": ops.Both, "or": ops.Either}
_WRITTEN: dict[str, Callable[..., sp.Expr]] = {
    "sub": lambda a, b: a + _minus(b),
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "sqrt": sp.sqrt,
    "rsqrt": lambda a: 1 / sp.sqrt(a),
    "neg": _minus,
    "max": ops.Maximum,
    "min": ops.Minimum,
    "rem": ops.Remainder,
    "and": ops.Both,
    "or": ops.Either,
    "not": ops.Contrary,
    "indicator": lambda a: a,
}
