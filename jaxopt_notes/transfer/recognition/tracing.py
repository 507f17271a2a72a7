"""Traces one step of an optimizer in float64."""

import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.optimizers import unpack_state
from jaxopt_notes.transfer.recognition.program import FREE, Program, Slot
from jaxopt_notes.transfer.recognition.reading import Reader, live
from jaxopt_notes.transfer.recognition.reasons import UnlikeError


def trace(optimizer: Any, state: Any, params: Any) -> Program:
    """Traces one step for parameters and a state of the given shapes.

    Raises:
      InputError: the parameters are not real numbers, or the state does not belong to the
        optimizer.
      UnlikeError: the update needs more than gradients, state and parameters.
    """
    tree: Any
    flat, tree = jax.tree_util.tree_flatten_with_path(params)
    if not flat:
        raise InputError("params: holds no array; pass the parameters")
    for path, p in flat:
        if not jnp.issubdtype(jnp.result_type(p), np.floating):
            raise InputError(
                f"params{jax.tree_util.keystr(path)}: is of {jnp.result_type(p)}; keep complex "
                "parameters as two real ones, and others out of the optimizer"
            )
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A scalar parameter would look like a number of the state, so it becomes an array of length
        # 1.
        bare = not flat[0][0]
        leaves = [_wide(p, bare) for _, p in flat]
        template = _template(optimizer, state, tree.unflatten(leaves), bare)
        jaxpr = _jaxpr(optimizer, tree.unflatten(leaves), template)
    paths = [path for path, _ in flat]
    shapes = [x.shape for x in leaves]
    slots = slots_of(template, paths, shapes)
    reader = Reader(shapes, [jnp.result_type(p) for _, p in flat], slots)
    outputs = reader.read(jaxpr.jaxpr, jaxpr.consts, range(2 * len(flat) + len(slots)))
    names = tuple(jax.tree_util.keystr(path) or "the parameter" for path in paths)
    return live(names, slots, reader, outputs)


def _template(optimizer: Any, state: Any, params: Any, bare: bool) -> Any:
    """The state's shapes, in float64, checked against the result of `init`."""
    own: Any = jax.tree.structure(state)
    if jax.tree.structure(unpack_state(state)) != own:
        raise InputError(
            "state: is packed; pass jaxopt_notes.unpack_state(state), and the optimizer without "
            "`packed`"
        )
    try:
        template = jax.eval_shape(optimizer.init, params)
    except Exception as error:
        raise UnlikeError(f"its init fails on the parameters ({first_line(error)})") from error
    if jax.tree.structure(template) != own:
        raise InputError(
            "state: its structure differs from that of optimizer.init(params); pass the state of "
            "this optimizer"
        )
    both = zip(jax.tree_util.tree_leaves_with_path(template), jax.tree.leaves(state), strict=True)
    for (path, x), y in both:
        if x.shape != jnp.shape(y) and not (bare and x.shape == (1,) and jnp.shape(y) == ()):
            raise InputError(
                f"state{jax.tree_util.keystr(path)}: is of shape {list(jnp.shape(y))}, where "
                f"optimizer.init(params) gives {list(x.shape)}; pass the state of this optimizer"
            )
    return jax.tree.map(_wide, template)


def _jaxpr(optimizer: Any, params: Any, state: Any) -> Any:
    """The program of one step: gradients, parameters and state in, updates and state out."""
    trees: tuple[Any, Any] = jax.tree.structure(params), jax.tree.structure(state)

    def step(grads: Any, params: Any, state: Any) -> Any:
        updates, new = optimizer.update(grads, state, params)
        if (jax.tree.structure(updates), jax.tree.structure(new)) != trees:
            raise TypeError(
                "its update returns a tree with a different structure from the gradients"
            )
        return jax.tree.leaves(updates), jax.tree.leaves(new)

    try:
        return jax.make_jaxpr(step)(params, params, state)
    except Exception as error:
        raise UnlikeError(
            f"its update fails on gradients, state and parameters alone ({first_line(error)})",
            "leave out what needs more",
        ) from error


def slots_of(
    state: Any, paths: Sequence[Any], shapes: Sequence[tuple[int, ...]]
) -> tuple[Slot, ...]:
    """The arrays of a state, each with the parameter whose path is part of the array's path."""
    places = {tuple(path): i for i, path in enumerate(paths)}
    lengths = sorted({len(path) for path in places}, reverse=True)
    slots = []
    for path, value in jax.tree_util.tree_flatten_with_path(state)[0]:
        real = jnp.issubdtype(value.dtype, np.floating)
        # The longest match, and the last one: a part of an `optax.partition` may have a parameter's
        # name.
        fits = (
            (places[path[k : k + n]], k, k + n)
            for n in lengths
            for k in range(len(path) - n, -1, -1)
            if path[k : k + n] in places and value.shape == shapes[places[path[k : k + n]]] and real
        )
        home, start, stop = next(fits, (FREE, len(path), len(path)))
        own = path[:start] + path[stop:]
        field, owner = _owner(state, path[:start] if home >= 0 else path)
        slots.append(Slot(jax.tree_util.keystr(own), field, owner, home))
    return tuple(slots)


def _owner(state: Any, path: Any) -> tuple[str, str]:
    """The last named field on the path, and its class."""
    field, owner = "", ""
    for key in path:
        if isinstance(key, jax.tree_util.GetAttrKey):
            field, owner = key.name, type(state).__name__
            state = getattr(state, key.name)
        else:
            state = state[getattr(key, "key", getattr(key, "idx", None))]
    return field, owner


def _wide(x: Any, bare: bool = False) -> jax.ShapeDtypeStruct:
    """An abstract array of equal shape, in float64 if its numbers are real."""
    dtype = jnp.result_type(x)
    real = jnp.issubdtype(dtype, np.floating)
    shape = jnp.shape(x) or ((1,) if bare else ())
    return jax.ShapeDtypeStruct(shape, np.float64 if real else dtype)
