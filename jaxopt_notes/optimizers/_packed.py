"""Packs small leaves: an optimizer whose state keeps them in flat blocks.

    packed(adamw)(1e-3, weight_decay=0.1)        takes what adamw takes

A step over a thousand small leaves spends its time on the number of arrays, not on arithmetic. So
blocks hold the slots of small leaves end to end. Each step joins their gradients likewise and
splits the update again; large leaves stay as they are. Results do not change, provided the rule is
elementwise.

Packing is for leaves that every device holds whole: joining sharded leaves would move them between
devices at each step. On a mesh with explicit axes, sharded leaves are not packed.

A block has at most 128 KB of float32: XLA's CPU backend splits the slicing of a larger array over
the cores, and a thousand such slices are slow to compile and to run. A block holds only a few
leaves, because joining many is slow to compile and runs on one core.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes.optimizers._packed_tree import Packed, find_layout, lay_out, pack, places, unpack

SMALL = 8_192  # elements; a larger leaf stays by itself
BLOCK = 32_768  # elements of a block at most


def packed(
    factory: Callable[..., optax.GradientTransformation], *, small: int = SMALL, block: int = BLOCK
) -> Callable[..., optax.GradientTransformationExtraArgs]:
    """Wraps an optimizer's function so that small leaves share blocks.

    Args:
      factory: the function that makes the optimizer: `adam`, `optax.lion`, …. If it takes a `mask`,
        leaves with different mask values never share a block.
      small: the largest number of elements of a leaf that is packed.
      block: elements of a block at most.

    Returns:
      A function with the factory's name and arguments that makes the packed optimizer. Its updates
      equal the plain optimizer's. In its state a `Packed` replaces each tree that is shaped like
      the parameters: see `unpack_state` and `pack_state`.

    Raises:
      ValueError: at `init`, if the optimizer is not elementwise or is packed already; at `update`,
        if a gradient is missing, has another name or shape than its parameter, or the gradients of
        a block differ in dtype.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import adam, packed
    >>> params = {"w": jnp.ones((2, 3)), "b": jnp.zeros(3)}
    >>> optimizer = packed(adam)(0.1)
    >>> state = optimizer.init(params)
    >>> updates, state = optimizer.update(params, state)
    >>> updates["w"].shape, [x.shape for x in state[0].mu.blocks]
    ((2, 3), [(9,)])
    """

    @functools.wraps(factory)
    def make(*args: Any, **kwargs: Any) -> optax.GradientTransformationExtraArgs:
        whole = optax.with_extra_args_support(factory(*args, **kwargs))
        call = inspect.signature(factory).bind(*args, **kwargs)
        mask = call.arguments.pop("mask", None)
        plain = factory(*call.args, **call.kwargs)

        def inner(layout: Any, params: Any) -> optax.GradientTransformationExtraArgs:
            if mask is None:
                return optax.with_extra_args_support(plain)
            packed_mask = _pack_mask(_spread_mask(mask, params), layout)
            return optax.with_extra_args_support(
                factory(*call.args, **call.kwargs, mask=packed_mask)
            )

        def init(params: optax.Params) -> Any:
            _refuse_unless_elementwise(plain)
            if not jax.tree.leaves(params):  # the placeholder of `optax.tree.map_params`, too
                return whole.init(params)
            layout = lay_out([params], _spread_mask(mask, params), small, block)
            return inner(layout, params).init(pack(params, layout))

        def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
            if not jax.tree.leaves(updates):
                return whole.update(updates, state, params, **extra)
            alike = [updates] if params is None else [params, updates]
            layout = find_layout(state)
            if layout is None:  # the state has nothing packed: any layout fits
                layout = lay_out(alike, _spread_mask(mask, alike[0]), small, block)
            gradients = pack(updates, layout)
            packed_params = None if params is None else pack(params, layout)
            optimizer = inner(layout, alike[0])
            moved, state = optimizer.update(gradients, state, packed_params, **extra)
            return jax.tree.unflatten(jax.tree.structure(updates), unpack(moved)), state

        return optax.GradientTransformationExtraArgs(init, update)

    return make


def unpack_state(state: Any) -> Any:
    """The plain optimizer's state, for a checkpoint that both optimizers can read.

    Args:
      state: the state of a packed optimizer, or of a chain, MultiSteps, … that contains one.

    >>> import jax.numpy as jnp, optax
    >>> from jaxopt_notes import adam, packed, unpack_state
    >>> state = optax.chain(optax.clip(1.0), packed(adam)(0.1)).init({"b": jnp.zeros(3)})
    >>> print(unpack_state(state)[1][0].mu)
    {'b': Array([0., 0., 0.], dtype=float32)}
    """

    def plain(x: Any) -> Any:
        if not _is_packed(x):
            return x
        return jax.tree.unflatten(jax.tree.structure(x.layout), unpack(x))

    return jax.tree.map(plain, state, is_leaf=_is_packed)


def pack_state(plain: Any, like: Any) -> Any:
    """The plain optimizer's state, packed as `like` is.

    Args:
      plain: what `unpack_state` gives.
      like: the state of a packed optimizer, or of a transformation that contains one.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import adam, pack_state, packed, unpack_state
    >>> params = {"b": jnp.zeros(3)}
    >>> checkpoint = adam(0.1).init(params)[0]._replace(mu={"b": jnp.ones(3)})
    >>> state = pack_state((checkpoint,), like=(packed(adam)(0.1).init(params)[0],))
    >>> print(unpack_state(state)[0].mu)
    {'b': Array([1., 1., 1.], dtype=float32)}
    """

    def again(x: Any, tree: Any) -> Any:
        return pack(tree, x.layout, stacked=True) if _is_packed(x) else tree

    return jax.tree.map(again, like, plain, is_leaf=_is_packed)


def _is_packed(x: Any) -> bool:
    return isinstance(x, Packed)


def _spread_mask(mask: Any, params: Any) -> list[bool]:
    """The mask's value for each leaf, from a tree, a prefix of one, or a function."""
    if mask is None:
        return [True] * len(jax.tree.leaves(params))
    mask = mask(params) if callable(mask) else mask
    spread = jax.tree.map(lambda m, part: jax.tree.map(lambda _: m, part), mask, params)
    return jax.tree.leaves(spread)


def _pack_mask(masked: list[bool], layout: Any) -> Packed:
    at = places(layout)
    return Packed([masked[i] for i in at.large], [masked[b[0]] for b in at.blocks], layout)


def _refuse_unless_elementwise(optimizer: optax.GradientTransformation) -> None:
    """Traces an update of one vector and refuses operations that mix elements."""
    probe = jax.ShapeDtypeStruct((7,), jnp.float32)
    state = jax.eval_shape(optimizer.init, probe)
    mixing = _mixing(jax.make_jaxpr(optimizer.update)(probe, state, probe).jaxpr)
    if mixing:
        raise ValueError(
            f"packed: the optimizer is not elementwise (it has {mixing}), so leaves cannot share "
            "a block; use it without packed"
        )


def _mixing(jaxpr: Any) -> str | None:
    """The name of the first operation that mixes elements."""
    for equation in jaxpr.eqns:
        name: str = equation.primitive.name
        inside = [p.jaxpr for p in equation.params.values() if hasattr(p, "jaxpr")]
        inside += [branch.jaxpr for branch in equation.params.get("branches", ())]
        inner = next(filter(None, map(_mixing, inside)), None)
        if inner:
            return inner
        if inside and name != "scan":
            continue
        shapes_in = {v.aval.shape for v in equation.invars}
        shapes_out = {v.aval.shape for v in equation.outvars}
        if (7,) in shapes_in and (
            shapes_out != {(7,)} or name.startswith("cum") or name in {"sort", "rev"}
        ):
            return name
    return None
