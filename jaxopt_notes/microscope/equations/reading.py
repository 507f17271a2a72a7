"""From a traced program (a jaxpr) to the graph of its values."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from jaxopt_notes.microscope.equations.graph import Graph
from jaxopt_notes.microscope.equations.nodes import FLAT, SCALAR, Place, UnreadableError
from jaxopt_notes.microscope.equations.shapes import SHAPES

_ROUNDS = 40  # the most rounds of a loop with a known number of rounds
_SAME = {"copy", "copy_p", "stop_gradient", "real", "optimization_barrier", "reduce_precision"}
# Operations on one element, by their names in the graph.
_ELEMENTWISE = {
    name: name
    for name in (
        *("add", "sub", "mul", "div", "max", "min", "pow", "sqrt", "rsqrt", "cbrt", "neg", "abs"),
        *("sign", "exp", "exp2", "log", "log1p", "expm1", "cos", "sin", "tan", "tanh", "logistic"),
        *("floor", "ceil", "round", "rem", "lt", "le", "gt", "ge", "eq", "ne", "is_finite"),
        *("integer_pow", "square"),
    )
} | {"add_any": "add"}
_LOGIC = frozenset({"and", "or", "not"})
_REDUCTIONS = {
    "reduce_sum": "sum",
    "reduce_max": "largest",
    "reduce_min": "smallest",
    "reduce_and": "all",
    "reduce_or": "any",
}
_RANDOM = ("random_", "threefry", "rng_")


class Reader:
    """Reads a program into a graph.

    Attributes:
      graph: where the values go.
      narrow: the floating dtypes of the program below float64.
      unread: the parts that could not be read, each once.
      schedules: for each call of a schedule, the value of its program; None if that was not read.
    """

    def __init__(self, graph: Graph, scheduled: frozenset[str] = frozenset()) -> None:
        self.graph = graph
        self.scheduled = scheduled
        self.narrow: set[str] = set()
        self.unread: dict[str, None] = {}
        self.schedules: dict[int, int | None] = {}

    def read(self, jaxpr: Any, consts: Sequence[Any], args: Sequence[int]) -> list[int]:
        """The values of a program's results."""
        values = dict(zip(jaxpr.constvars, map(self._constant, consts)))
        values |= dict(zip(jaxpr.invars, args))

        def value(v: Any) -> int:
            return self._constant(v.val) if isinstance(v, core.Literal) else values[v]

        for eqn in jaxpr.eqns:
            inputs = [value(v) for v in eqn.invars]
            self._note_dtypes(eqn)
            try:
                outputs = self._operation(eqn, inputs)
            except UnreadableError as error:
                outputs = self._unknown(eqn, inputs, str(error))
            except IndexError:  # the axes of an array could not be followed
                outputs = self._unknown(eqn, inputs, "it rearranges arrays")
            values |= dict(zip(eqn.outvars, outputs))
        return [value(v) for v in jaxpr.outvars]

    def _unknown(self, eqn: Any, inputs: Sequence[int], why: str) -> list[int]:
        if not any(self.graph.nodes[i].op == "unknown" for i in inputs):
            self.unread[why] = None
        leaves = {self.graph.places[i].leaf for i in inputs} - {None}
        place = Place(leaves.pop(), ("?",)) if len(leaves) == 1 else SCALAR  # type: ignore[arg-type]
        name = eqn.primitive.name
        return [
            self.graph.add("unknown", *inputs, param=(name, k), place=place)
            for k in range(len(eqn.outvars))
        ]

    def _note_dtypes(self, eqn: Any) -> None:
        for v in eqn.outvars:
            dtype: Any = getattr(v.aval, "dtype", None)
            floating = dtype is not None and jax.numpy.issubdtype(dtype, np.floating)
            if floating and dtype.itemsize < 8:
                self.narrow.add(str(dtype))

    def _constant(self, x: Any) -> int:
        array = np.asarray(x)
        if array.dtype == object or array.size == 0:
            raise UnreadableError("a constant that is not a number")
        first = array.reshape(-1)[0]
        if not ((array == first) | ((array != array) & (first != first))).all():
            return self.graph.leaf("table", _Table(array), SCALAR)
        return self.graph.number(
            first.astype(float).item()
            if array.dtype.kind == "V" or str(array.dtype) in ("bfloat16", "float16")
            else first.item()
        )

    def _operation(self, eqn: Any, args: list[int]) -> list[int]:
        name, params, graph = eqn.primitive.name, eqn.params, self.graph
        if name in _ELEMENTWISE:
            return [self._elementwise(_ELEMENTWISE[name], args, params)]
        if name in _LOGIC and eqn.outvars[0].aval.dtype == bool:
            return [graph.add(name, *args)]
        if name in _SAME:
            return args
        if name == "convert_element_type":
            return [self._convert(args[0], eqn.invars[0].aval.dtype, params["new_dtype"])]
        if name == "select_n":
            if len(args) != 3 or eqn.invars[0].aval.dtype != bool:
                raise UnreadableError("a choice among more than two")
            return [graph.add("select", args[0], args[2], args[1])]
        if name == "clamp":
            low, x, high = args
            return [graph.add("max", graph.add("min", x, high), low)]
        if name in _REDUCTIONS:
            return [self._reduce(_REDUCTIONS[name], args[0], params["axes"], eqn)]
        if name in SHAPES:
            return [SHAPES[name](self.graph, args[0], eqn)]
        if name == "concatenate":
            if all(graph.places[a] == SCALAR for a in args):
                return [graph.add("stack", *args)]
            raise UnreadableError("arrays are joined")
        if name == "dot_general":
            return [self._dot(args, eqn)]
        if name == "cond":
            return self._cond(params["branches"], args)
        if name == "scan":
            return self._scan(eqn, args)
        if name == "while":
            return self._while(params, args)
        return self._call(name, params, args)

    def _call(self, name: str, params: dict[str, Any], args: list[int]) -> list[int]:
        inner = params.get("jaxpr") or params.get("call_jaxpr") or params.get("fun_jaxpr")
        if params.get("name") in self.scheduled:
            return [self._schedule(params, args)]
        if inner is None:
            random = any(name.startswith(word) for word in _RANDOM)
            raise UnreadableError("it draws random numbers" if random else f"it uses `{name}`")
        if isinstance(inner, core.ClosedJaxpr):
            return self.read(inner.jaxpr, inner.consts, args)
        return self.read(inner, (), args)

    def _schedule(self, params: dict[str, Any], args: list[int]) -> int:
        called = self.graph.add("schedule", args[-1], param=params["name"], place=SCALAR)
        if called not in self.schedules:
            apart = Reader(self.graph)
            (body,) = apart.read(params["jaxpr"].jaxpr, params["jaxpr"].consts, args)
            self.schedules[called] = None if apart.unread else body
            self.narrow |= apart.narrow
        return called

    def _elementwise(self, op: str, args: list[int], params: dict[str, Any]) -> int:
        graph = self.graph
        if op == "integer_pow":
            return graph.add("pow", args[0], graph.number(params["y"]))
        if op == "square":
            return graph.add("pow", args[0], graph.number(2))
        return graph.add(op, *args)

    def _convert(self, x: int, old: Any, new: Any) -> int:
        graph, kind = self.graph, jax.numpy.issubdtype
        if kind(new, np.bool_):
            return x if kind(old, np.bool_) else graph.add("ne", x, graph.number(0))
        if kind(old, np.bool_):
            return graph.add("indicator", x)
        if kind(old, np.floating) and kind(new, np.integer):
            return graph.add("trunc", x)
        if kind(new, np.complexfloating):
            raise UnreadableError("complex numbers")
        return x

    def _reduce(self, op: str, x: int, axes: tuple[int, ...], eqn: Any) -> int:
        graph = self.graph
        node, place = graph.nodes[x], graph.places[x]
        if node.op == "stack":
            return self._fold_stack(op, node.args)
        if place == SCALAR:
            shape = eqn.invars[0].aval.shape
            count = int(np.prod([shape[a] for a in axes]))
            return graph.add("mul", x, graph.number(count)) if op == "sum" else x
        if "?" in place.axes:
            raise UnreadableError("an array of unknown shape is summed")
        if place.axes == FLAT:
            return graph.add(op, x, param=(), place=SCALAR)
        own = tuple(place.axes[a] for a in axes)
        rest = tuple(a for i, a in enumerate(place.axes) if i not in axes)
        frame = tuple(a for a in own if a is not None)
        if not frame:
            return x
        if len(frame) == len(graph.shapes[place.leaf or 0]):
            return graph.add(op, x, param=(), place=SCALAR)
        left = Place(place.leaf, rest) if any(a is not None for a in rest) else SCALAR
        return graph.add(op, x, param=frame, place=left)

    def _fold_stack(self, op: str, args: tuple[int, ...]) -> int:
        names = {"sum": "add", "all": "and", "any": "or", "largest": "max", "smallest": "min"}
        total = args[0]
        for a in args[1:]:
            total = self.graph.add(names[op], total, a)
        return total

    def _dot(self, args: list[int], eqn: Any) -> int:
        """The sum of the products of all elements; other matrix products are not read."""
        graph = self.graph
        (left, right), _ = eqn.params["dimension_numbers"]
        whole = eqn.outvars[0].aval.shape == () and tuple(left) == tuple(right)
        places = [graph.places[a] for a in args]
        if not whole or places[0] != places[1] or places[0] == SCALAR:
            raise UnreadableError("it multiplies matrices")
        product = graph.add("mul", *args)
        return graph.add("sum", product, param=(), place=SCALAR)

    def _cond(self, branches: Sequence[Any], args: list[int]) -> list[int]:
        index, *operands = args
        graph = self.graph
        if len(branches) != 2:
            raise UnreadableError("a choice among more than two")
        node = graph.nodes[index]
        pred = node.args[0] if node.op == "indicator" else None
        if graph.constant(index) is not None:
            branch = branches[int(graph.constant(index))]
            return self.read(branch.jaxpr, branch.consts, operands)
        if pred is None:
            pred = graph.add("ne", index, graph.number(0))
        no, yes = (self.read(b.jaxpr, b.consts, operands) for b in branches)
        return [graph.add("select", pred, y, n) for y, n in zip(yes, no)]

    def _scan(self, eqn: Any, args: list[int]) -> list[int]:
        inner, length = eqn.params["jaxpr"], eqn.params["length"]
        # Arrays that a round takes a row of, or adds a row to, have one axis more outside.
        outside = [x.aval.shape for x in (*eqn.invars, *eqn.outvars)]
        if outside != [x.shape for x in (*inner.in_avals, *inner.out_avals)] or length > _ROUNDS:
            raise UnreadableError("a loop over arrays, or a long one")
        constants = len(args) - len(eqn.outvars)
        fixed, carry = args[:constants], args[constants:]
        for _ in range(length):
            carry = self.read(inner.jaxpr, inner.consts, [*fixed, *carry])
        return carry

    def _while(self, params: dict[str, Any], args: list[int]) -> list[int]:
        n, m = params["cond_nconsts"], params["body_nconsts"]
        tested, fixed, carry = args[:n], args[n : n + m], args[n + m :]
        test, body = params["cond_jaxpr"], params["body_jaxpr"]
        for _ in range(_ROUNDS):
            (more,) = self.read(test.jaxpr, test.consts, [*tested, *carry])
            if self.graph.constant(more) is None:
                break
            if not self.graph.constant(more):
                return carry
            carry = self.read(body.jaxpr, body.consts, [*fixed, *carry])
        raise UnreadableError("a loop whose number of rounds depends on the values")


class _Table:
    """An array of constants, equal only to itself."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
