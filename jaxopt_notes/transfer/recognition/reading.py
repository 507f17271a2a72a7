"""From a traced program (a jaxpr) to the operations that the updates need."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxopt_notes.transfer.recognition.elementwise import is_elementwise
from jaxopt_notes.transfer.recognition.program import (
    FREE,
    SEVERAL,
    Constant,
    Operation,
    Program,
    Ref,
    Slot,
)

_SAME = {"copy", "copy_p", "sharding_constraint", "optimization_barrier"}


class Reader:
    """Lists the operations of a traced program, with calls inlined and equal operations merged.

    Values are numbered as in `Program`.

    Attributes:
      leaf_shapes: the shape of each parameter.
      dtypes: the dtype that each parameter has outside the trace.
      operations: the operations read so far.
    """

    def __init__(
        self, leaf_shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any], slots: Sequence[Slot]
    ) -> None:
        n = len(leaf_shapes)
        self.leaf_shapes, self.dtypes = leaf_shapes, dtypes
        self.operations: list[Operation] = []
        self._homes = [*range(n), *range(n), *(slot.home for slot in slots)]
        self._made: dict[Any, tuple[int, ...]] = {}
        self._spread: dict[int, tuple[Ref, tuple[int, ...]]] = {}  # arrays filled with one number

    def read(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Ref]) -> list[Ref]:
        """Reads a program; returns the values of its results."""
        values: dict[Any, Ref] = dict(zip(jaxpr.constvars, map(Constant, consts)))
        values |= dict(zip(jaxpr.invars, inputs))

        def value(v: Any) -> Ref:
            literal = isinstance(v, core.Literal)
            return Constant(np.asarray(v.val, v.aval.dtype)) if literal else values[v]

        for eqn in jaxpr.eqns:
            outputs = self._equation(eqn, [value(v) for v in eqn.invars])
            values |= dict(zip(eqn.outvars, outputs))
        return [value(v) for v in jaxpr.outvars]

    def number(self, ref: Ref, leaf: int) -> Ref:
        """The number that fills an array of a parameter's shape."""
        shape = self.leaf_shapes[leaf]
        while isinstance(ref, int) and ref in self._spread and self._spread[ref][1] == shape:
            ref = self._spread[ref][0]
        if not isinstance(ref, Constant) or ref.value.size == 0:
            return ref
        x = ref.value
        whole = x.size == 1 or (x.shape == shape and (x == x.flat[0]).all())
        return Constant(x.flat[0]) if whole else ref

    def _equation(self, eqn: Any, inputs: list[Ref]) -> Sequence[Ref]:
        name, params = eqn.primitive.name, eqn.params
        if name in _SAME:
            return inputs
        if name == "cond" and isinstance(inputs[0], Constant):
            branch = params["branches"][int(inputs[0].value)]
            return self.read(branch.jaxpr, branch.consts, inputs[1:])
        inner = params.get("jaxpr") or params.get("call_jaxpr") or params.get("fun_jaxpr")
        if inner is not None and name not in ("scan", "while", "cond"):
            if isinstance(inner, core.ClosedJaxpr):
                return self.read(inner.jaxpr, inner.consts, inputs)
            return self.read(inner, (), inputs)
        homes = {self._homes[i] for i in inputs if isinstance(i, int)} - {FREE}
        home = SEVERAL if len(homes) > 1 else next(iter(homes), FREE)
        if home >= 0:
            inputs = [self.number(i, home) for i in inputs]
            if self._hands_on(eqn, home):
                return inputs[:1]
        outputs = self._add(eqn, tuple(inputs), home)
        if home == FREE and name == "broadcast_in_dim" and np.size(eqn.invars[0].aval) == 1:
            self._spread[outputs[0]] = inputs[0], eqn.outvars[0].aval.shape
        return outputs

    def _hands_on(self, eqn: Any, home: int) -> bool:
        """Whether the operation returns its input unchanged, perhaps in another lossless dtype."""
        name, shape = eqn.primitive.name, self.leaf_shapes[home]
        old, new = eqn.invars[0].aval, eqn.outvars[0].aval
        if name in ("broadcast_in_dim", "reshape"):
            return bool(new.shape == shape == old.shape)
        if name == "integer_pow":
            return bool(eqn.params["y"] == 1)
        return name == "convert_element_type" and _real(old) and _real(new) and self._holds(
            new.dtype, home
        )  # fmt: skip

    def _holds(self, dtype: Any, home: int) -> bool:
        """Whether a dtype can represent all values of the parameter's dtype."""
        return bool(jnp.promote_types(dtype, self.dtypes[home]) == dtype)

    def _mixes(self, eqn: Any, home: int) -> str:
        """How the operation mixes elements, in words."""
        name = eqn.primitive.name
        if home == SEVERAL or not is_elementwise(name):
            return f"works on several elements at once ({name})"
        if (
            name == "convert_element_type"
            and _real(eqn.invars[0].aval)
            and _real(eqn.outvars[0].aval)
        ):
            return f"rounds to {eqn.outvars[0].aval.dtype}, coarser than a parameter is"
        shapes = {v.aval.shape for v in (*eqn.invars, *eqn.outvars)} - {()}
        same = shapes <= {self.leaf_shapes[home]}
        return "" if same else f"works on arrays of several shapes ({name})"

    def _add(self, eqn: Any, inputs: tuple[Ref, ...], home: int) -> tuple[int, ...]:
        """The indices of the outputs of a new operation, or of an equal existing one."""
        name, key = eqn.primitive.name, None
        if not any("jaxpr" in k or k == "branches" for k in eqn.params):
            refs = tuple(i.key if isinstance(i, Constant) else i for i in inputs)
            key = (name, refs, str(sorted(eqn.params.items(), key=lambda kv: kv[0])))
            if key in self._made:
                return self._made[key]
        first = len(self._homes)
        outputs = tuple(range(first, first + len(eqn.outvars)))
        self._homes += [home] * len(outputs)
        mixes = "" if home == FREE else self._mixes(eqn, home)
        self.operations.append(
            Operation(name, eqn.primitive, dict(eqn.params), inputs, outputs, home, mixes)
        )
        if key is not None:
            self._made[key] = outputs
        return outputs


def live(
    paths: tuple[str, ...], slots: tuple[Slot, ...], reader: Reader, outputs: Sequence[Ref]
) -> Program:
    """The operations that the updates need, including those that update the state arrays they read.

    Args:
      paths: the parameters' names.
      slots: the state's arrays.
      reader: the reader of the step.
      outputs: the values of the updates, then the values of the new state.
    """
    n = len(paths)
    updates = tuple(reader.number(ref, leaf) for leaf, ref in enumerate(outputs[:n]))
    maker = {out: k for k, op in enumerate(reader.operations) for out in op.outputs}
    waiting = [ref for ref in updates if isinstance(ref, int)]
    seen, used = set(waiting), set()
    new_slots: dict[int, Ref] = {}
    while waiting:
        i = waiting.pop()
        below: Sequence[Ref] = ()
        if i in maker:
            used.add(maker[i])
            below = reader.operations[maker[i]].inputs
        elif i >= 2 * n:
            k = i - 2 * n
            ref, home = outputs[n + k], slots[k].home
            new_slots[k] = reader.number(ref, home) if home >= 0 else ref
            below = (new_slots[k],)
        new = {ref for ref in below if isinstance(ref, int)} - seen
        seen |= new
        waiting += new
    operations = tuple(op for k, op in enumerate(reader.operations) if k in used)
    return Program(paths, slots, operations, updates, dict(sorted(new_slots.items())))


def _real(aval: Any) -> bool:
    return bool(jnp.issubdtype(aval.dtype, np.floating))
