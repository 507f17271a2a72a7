"""An optimizer's step as a list of operations, traced in float64, each in the array it belongs to.

A step of an optimizer that torch or Keras has is elementwise: every parameter array is worked on by
itself, with numbers (the step count, the learning rate) that all may share. So each value of the
program belongs to one parameter array, or to none. An operation that joins or mixes elements is
kept with a note of what it does, and is an error only if the updates need it.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxopt_notes.errors import InputError, first_line

FREE, SEVERAL = -1, -2  # belongs to no parameter array; to more than one
_SAME = {"copy", "copy_p", "stop_gradient", "sharding_constraint", "reduce_precision"}
ELEMENTWISE = frozenset(
    "add sub mul div max min pow sqrt rsqrt cbrt neg abs sign exp exp2 log log1p expm1 tanh "
    "logistic floor ceil rem lt le gt ge eq ne and or not is_finite integer_pow square select_n "
    "clamp convert_element_type add_any".split()
)


class Constant:
    """A number, or an array of them, that stands in the program."""

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value)

    @property
    def key(self) -> tuple[Any, ...]:
        return str(self.value.dtype), self.value.shape, self.value.tobytes()


Ref = int | Constant  # a value: its number, or itself


class Operation(NamedTuple):
    """One operation.

    Attributes:
      name: of JAX's primitive.
      primitive: the primitive itself.
      params: its parameters.
      inputs: the values that it takes.
      outputs: the numbers of the values that it gives.
      home: the parameter array that it belongs to, `FREE` or `SEVERAL`.
      mixes: what it does to elements, in words; "" if it works on each by itself.
    """

    name: str
    primitive: Any
    params: dict[str, Any]
    inputs: tuple[Ref, ...]
    outputs: tuple[int, ...]
    home: int
    mixes: str


class Slot(NamedTuple):
    """One array of the state: its path, its class, and the parameter array it belongs to."""

    path: str
    field: str
    owner: str
    home: int


class Program(NamedTuple):
    """One step. The inputs are numbered: gradients, then parameters, then the state's arrays.

    Attributes:
      paths: the parameters' names.
      slots: the state's arrays.
      operations: those that the updates need, in their order.
      updates: the update of each parameter.
      new_slots: the new value of each array of the state that the updates need, by its number.
      shapes: the shape of every value.
    """

    paths: tuple[str, ...]
    slots: tuple[Slot, ...]
    operations: tuple[Operation, ...]
    updates: tuple[Ref, ...]
    new_slots: dict[int, Ref]
    shapes: dict[int, tuple[int, ...]]

    @property
    def mixes(self) -> tuple[str, ...]:
        """What it does besides working on each element by itself."""
        return tuple(dict.fromkeys(op.mixes for op in self.operations if op.mixes))

    def gradient(self, leaf: int) -> int:
        return leaf

    def parameter(self, leaf: int) -> int:
        return len(self.paths) + leaf

    def slot(self, k: int) -> int:
        return 2 * len(self.paths) + k

    def place(self, path: str, leaf: int) -> int:
        """Where in the state the accumulator of a parameter stands."""
        return next(k for k, s in enumerate(self.slots) if (s.path, s.home) == (path, leaf))


def trace(optimizer: Any, state: Any, params: Any) -> Program:
    """Traces one step for parameters and a state of these shapes.

    Raises:
      InputError: the state is not that of the optimizer, or its update needs more than gradients,
        state and parameters.
    """
    flat, tree = jax.tree_util.tree_flatten_with_path(params)
    if not flat:
        raise InputError("params: holds no array; pass the parameters")
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A lone number would look like a number of the state: it stands as an array of one.
        leaves = [_wide(p, bare=not path) for path, p in flat]
        like = tree.unflatten(leaves)
        try:
            template = jax.eval_shape(optimizer.init, like)
        except Exception as error:
            raise InputError(f"params: the optimizer's init fails on them ({_why(error)})") from error
        _check_state(template, state, bare=not flat[0][0])
        template = jax.tree.map(_wide, template)

        def step(grads: Any, params: Any, state: Any) -> Any:
            updates, new = optimizer.update(grads, state, params)
            if jax.tree.structure(updates) != tree or jax.tree.structure(new) != into:
                raise TypeError("its update gives another tree than it takes")
            return jax.tree.leaves(updates), jax.tree.leaves(new)

        into = jax.tree.structure(template)
        try:
            jaxpr = jax.make_jaxpr(step)(like, like, template)
        except Exception as error:
            raise InputError(
                f"optimizer: its update fails on gradients, state and parameters alone "
                f"({_why(error)}); leave out what needs more"
            ) from error
    paths = [path for path, _ in flat]
    slots = slots_of(template, paths, [x.shape for x in leaves])
    dtypes = [jnp.result_type(p) for _, p in flat]
    reader = _Reader([x.shape for x in leaves], dtypes, slots)
    outputs = reader.read(jaxpr.jaxpr, jaxpr.consts, range(2 * len(flat) + len(slots)))
    names = tuple(jax.tree_util.keystr(path) or "the parameter" for path in paths)
    return _live(names, slots, reader, outputs)


def slots_of(
    state: Any, paths: Sequence[Any], shapes: Sequence[tuple[int, ...]]
) -> tuple[Slot, ...]:
    """The arrays of a state. One belongs to the parameter whose path stands within its own."""
    places = {tuple(path): i for i, path in enumerate(paths)}
    lengths = sorted({len(path) for path in places}, reverse=True)
    slots = []
    for path, value in jax.tree_util.tree_flatten_with_path(state)[0]:
        home, start, stop = FREE, len(path), len(path)
        for n in (n for n in lengths if n):
            at = [k for k in range(len(path) - n, -1, -1) if path[k : k + n] in places]
            if at:
                start, stop = at[0], at[0] + n
                home = places[path[start:stop]]
                break
        if lengths == [0] and value.shape == shapes[0] and jnp.issubdtype(value.dtype, np.floating):
            home = 0
        own = path[:start] + path[stop:]
        field, owner = _owner(state, path[:start] if home >= 0 else path)
        slots.append(Slot(jax.tree_util.keystr(own), field, owner, home))
    return tuple(slots)


def _owner(state: Any, path: Any) -> tuple[str, str]:
    """The last field with a name on the way, and the class that has it."""
    field, owner = "", ""
    for key in path:
        if isinstance(key, jax.tree_util.GetAttrKey):
            field, owner = key.name, type(state).__name__
            state = getattr(state, key.name)
        else:
            state = state[getattr(key, "key", getattr(key, "idx", None))]
    return field, owner


def _wide(x: Any, bare: bool = False) -> jax.ShapeDtypeStruct:
    """An abstract array of the same shape, in float64 if it is of reals."""
    dtype = jnp.result_type(x)
    real = jnp.issubdtype(dtype, np.floating)
    return jax.ShapeDtypeStruct((jnp.shape(x) or (1,)) if bare else jnp.shape(x),
                                np.float64 if real else dtype)  # fmt: skip


def _check_state(template: Any, state: Any, bare: bool) -> None:
    if jax.tree.structure(template) != jax.tree.structure(state):
        raise InputError(
            "state: is of another structure than optimizer.init(params) gives; pass the state of "
            "this optimizer"
        )
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(template), jax.tree.leaves(state), strict=True
    ):
        if x.shape != jnp.shape(y) and not (bare and x.shape == (1,) and jnp.shape(y) == ()):
            raise InputError(
                f"state{jax.tree_util.keystr(path)}: is of shape {list(jnp.shape(y))}, where "
                f"optimizer.init(params) gives {list(x.shape)}; pass the state of this optimizer"
            )


def _why(error: Exception) -> str:
    return first_line(error)


class _Reader:
    """Writes a traced program down as operations, calls opened, equal operations once."""

    def __init__(
        self, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any], slots: Sequence[Slot]
    ) -> None:
        n = len(shapes)
        self.leaf_shapes, self.dtypes = shapes, dtypes
        self.homes = [*range(n), *range(n), *(slot.home for slot in slots)]
        self.shapes: dict[int, tuple[int, ...]] = {
            i: shapes[home] for i, home in enumerate(self.homes) if home >= 0
        }
        self.operations: list[Operation] = []
        self._made: dict[Any, tuple[int, ...]] = {}
        self._spread: dict[int, Ref] = {}  # an array that is one number everywhere: the number

    def read(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Ref]) -> list[Ref]:
        values: dict[Any, Ref] = dict(zip(jaxpr.constvars, map(Constant, consts)))
        values |= dict(zip(jaxpr.invars, inputs))

        def value(v: Any) -> Ref:
            return Constant(np.asarray(v.val, v.aval.dtype)) if isinstance(v, core.Literal) else values[v]

        for eqn in jaxpr.eqns:
            outputs = self._equation(eqn, [value(v) for v in eqn.invars])
            values |= dict(zip(eqn.outvars, outputs))
        return [value(v) for v in jaxpr.outvars]

    def _equation(self, eqn: Any, inputs: list[Ref]) -> Sequence[Ref]:
        name, params = eqn.primitive.name, eqn.params
        if name in _SAME or name == "optimization_barrier":
            return inputs
        if name == "cond" and isinstance(inputs[0], Constant):
            branch = params["branches"][int(inputs[0].value)]
            return self.read(branch.jaxpr, branch.consts, inputs[1:])
        inner = params.get("jaxpr") or params.get("call_jaxpr") or params.get("fun_jaxpr")
        if inner is not None and name not in ("scan", "while", "cond"):
            closed = isinstance(inner, core.ClosedJaxpr)
            return self.read(
                inner.jaxpr if closed else inner, inner.consts if closed else (), inputs
            )
        homes = {self.home(i) for i in inputs} - {FREE}
        home = SEVERAL if len(homes) > 1 else next(iter(homes), FREE)
        if home >= 0:
            inputs = [self._number(i, home) for i in inputs]
            if self._keeps(eqn, inputs, home):
                return [i for i in inputs if not isinstance(i, Constant)]
        outputs = self._add(eqn, tuple(inputs), home)
        if home == FREE and name == "broadcast_in_dim" and np.size(eqn.invars[0].aval) == 1:
            self._spread[outputs[0]] = inputs[0]
        return outputs

    def home(self, ref: Ref) -> int:
        return FREE if isinstance(ref, Constant) else self.homes[ref]

    def number(self, ref: Ref, leaf: int) -> Ref:
        """One number in place of an array of it in the parameter's shape."""
        return self._number(ref, leaf)

    def _number(self, ref: Ref, home: int) -> Ref:
        if isinstance(ref, Constant):
            x = ref.value
            same = x.ndim and x.shape == self.leaf_shapes[home] and (x == x.flat[0]).all()
            return Constant(x.flat[0]) if same else ref
        while ref in self._spread and self.shapes[ref] == self.leaf_shapes[home]:
            ref = self._spread[ref]
            if isinstance(ref, Constant):
                return Constant(ref.value.reshape(()))
        return ref

    def _keeps(self, eqn: Any, inputs: list[Ref], home: int) -> bool:
        """Whether it hands on the array as it is: another shape of the same, a harmless cast."""
        name, shape = eqn.primitive.name, self.leaf_shapes[home]
        if name in ("broadcast_in_dim", "reshape"):
            return bool(eqn.outvars[0].aval.shape == shape == eqn.invars[0].aval.shape)
        if name == "integer_pow":
            return bool(eqn.params["y"] == 1)
        if name == "convert_element_type":
            old, new = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
            both = jnp.issubdtype(old, np.floating) and jnp.issubdtype(new, np.floating)
            return both and self._holds(new, home)
        return False

    def _holds(self, dtype: Any, home: int) -> bool:
        """Whether a dtype has all values of the parameter's."""
        return bool(jnp.promote_types(dtype, self.dtypes[home]) == jnp.dtype(dtype))

    def _mixes(self, eqn: Any, home: int) -> str:
        name = eqn.primitive.name
        if name == "convert_element_type" and jnp.issubdtype(eqn.params["new_dtype"], np.floating):
            if jnp.issubdtype(eqn.invars[0].aval.dtype, np.floating):
                return f"rounds to {eqn.params['new_dtype']}"
        if home == SEVERAL or name not in ELEMENTWISE:
            return f"uses {name}"
        shape = self.leaf_shapes[home]
        arrays = [v.aval.shape for v in (*eqn.invars, *eqn.outvars) if v.aval.shape != ()]
        return "" if all(s == shape for s in arrays) else f"uses {name} on unequal shapes"

    def _add(self, eqn: Any, inputs: tuple[Ref, ...], home: int) -> tuple[int, ...]:
        name = eqn.primitive.name
        key = None
        if not any("jaxpr" in k or k == "branches" for k in eqn.params):
            refs = tuple(i.key if isinstance(i, Constant) else i for i in inputs)
            key = (name, refs, str(sorted(eqn.params.items(), key=lambda kv: kv[0])))
            if key in self._made:
                return self._made[key]
        first = len(self.homes)
        outputs = tuple(range(first, first + len(eqn.outvars)))
        self.homes += [home] * len(outputs)
        self.shapes |= {i: v.aval.shape for i, v in zip(outputs, eqn.outvars)}
        mixes = "" if home == FREE else self._mixes(eqn, home)
        self.operations.append(
            Operation(name, eqn.primitive, dict(eqn.params), inputs, outputs, home, mixes)
        )
        if key is not None:
            self._made[key] = outputs
        return outputs


def _live(
    names: tuple[str, ...], slots: tuple[Slot, ...], reader: _Reader, outputs: Sequence[Ref]
) -> Program:
    """What the updates need: also those arrays of the state that they read, and how these move."""
    n = len(names)
    updates = tuple(reader.number(ref, leaf) for leaf, ref in enumerate(outputs[:n]))
    maker = {out: k for k, op in enumerate(reader.operations) for out in op.outputs}
    waiting = [ref for ref in updates if not isinstance(ref, Constant)]
    used: set[int] = set()
    new_slots: dict[int, Ref] = {}
    seen = set(waiting)
    while waiting:
        i = waiting.pop()
        if i in maker:
            used.add(maker[i])
            fresh = list(reader.operations[maker[i]].inputs)
        elif i >= 2 * n:
            k = i - 2 * n
            ref = outputs[n + k]
            home = slots[k].home
            new_slots[k] = reader.number(ref, home) if home >= 0 else ref
            fresh = [new_slots[k]]
        else:
            continue
        new = [r for r in fresh if not isinstance(r, Constant) and r not in seen]
        seen |= set(new)
        waiting += new
    operations = tuple(op for k, op in enumerate(reader.operations) if k in used)
    return Program(names, slots, operations, updates, dict(sorted(new_slots.items())), reader.shapes)
