"""Small leaves together: an optimizer whose state keeps them in flat blocks.

    packed(adamw)(1e-3, weight_decay=0.1)        takes what adamw takes

A step over a thousand small leaves spends its time on the number of arrays, not on arithmetic. So
the slots of small leaves lie end to end in blocks, their gradients are laid end to end for the
update, and the update is cut up again; large leaves stay as they are. The numbers are the same, as
long as the rule treats each element by itself.

It is for leaves that every device has whole: to be laid end to end, leaves that are cut among
devices have to travel at each step.

A block stays within 128 KB of float32: XLA's CPU backend splits the slicing of a larger array over
the cores, which a thousand times is slow to compile and to run. It holds a few leaves only: to lay
many end to end is slow to compile, and keeps one core busy alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

SMALL = 8_192  # elements; a larger leaf stays by itself
BLOCK = 32_768  # elements of a block at most
LEAVES = 16  # of a block at most


@jax.tree_util.register_static
class Layout(NamedTuple):
    """Where each leaf of the parameters lies; static, and without any array.

    Attributes:
      tree: the parameters' structure.
      shapes: the leaves' shapes, in the structure's order.
      large: positions of the leaves that stay as they are.
      blocks: for each block the positions of its leaves, end to end.
    """

    tree: Any
    shapes: tuple[tuple[int, ...], ...]
    large: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]


class Packed(NamedTuple):
    """A tree like the parameters, packed: its large leaves and its blocks."""

    large: list[Any]
    blocks: list[Any]


class PackedState(NamedTuple):
    """The state of the optimizer over packed trees, and the layout of these."""

    inner: Any
    layout: Layout


def packed(
    factory: Callable[..., optax.GradientTransformation], *, small: int = SMALL, block: int = BLOCK
) -> Callable[..., optax.GradientTransformationExtraArgs]:
    """Wraps an optimizer's function so that small leaves share blocks.

    Args:
      factory: `adam`, `optax.lion`, …: what makes the optimizer. Where it takes a `mask`, leaves
        that the mask tells apart are kept apart.
      small: leaves of up to so many elements are packed.
      block: elements of a block at most.

    Returns:
      A function that takes the factory's arguments and gives the packed optimizer. Its updates are
      those of the plain one; its state is a `PackedState`: see `unpack_state` and `pack_state`.

    Raises:
      ValueError: at `init`, if the optimizer is not elementwise; at `update`, if a gradient is
        missing or the gradients of a block differ in dtype.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import adam, packed
    >>> params = {"w": jnp.ones((2, 3)), "b": jnp.zeros(3)}
    >>> optimizer = packed(adam)(0.1)
    >>> state = optimizer.init(params)
    >>> updates, state = optimizer.update(params, state)
    >>> updates["w"].shape, [x.shape for x in state.inner[0].mu.blocks]
    ((2, 3), [(9,)])
    """

    def make(*args: Any, mask: Any = None, **kwargs: Any) -> optax.GradientTransformationExtraArgs:
        def inner(layout: Layout, masked: list[bool]) -> optax.GradientTransformationExtraArgs:
            if mask is None:
                made = factory(*args, **kwargs)
            else:
                by_block = [masked[group[0]] for group in layout.blocks]
                packed_mask = Packed([masked[i] for i in layout.large], by_block)
                made = factory(*args, mask=packed_mask, **kwargs)
            return optax.with_extra_args_support(made)

        def init(params: optax.Params) -> PackedState:
            _refuse_unless_elementwise(factory(*args, **kwargs))
            masked = _spread_mask(mask, params)
            layout = _lay_out(params, masked, small, block)
            return PackedState(inner(layout, masked).init(_pack(params, layout)), layout)

        def update(updates: Any, state: PackedState, params: Any = None, **extra: Any) -> Any:
            layout = state.layout
            masked = _spread_mask(mask, updates)
            moved, new = inner(layout, masked).update(
                _pack(updates, layout),
                state.inner,
                None if params is None else _pack(params, layout),
                **extra,
            )
            return _unpack(moved, layout), PackedState(new, layout)

        return optax.GradientTransformationExtraArgs(init, update)

    return make


def unpack_state(state: PackedState) -> Any:
    """The state as the plain optimizer has it, for a checkpoint that either can read."""
    return jax.tree.map(
        lambda x: _unpack(x, state.layout) if _is_packed(x) else x, state.inner, is_leaf=_is_packed
    )


def pack_state(plain: Any, like: PackedState) -> PackedState:
    """The plain optimizer's state, packed as `like` is."""
    inner = jax.tree.map(
        lambda x, tree: _pack(tree, like.layout) if _is_packed(x) else tree,
        like.inner,
        plain,
        is_leaf=_is_packed,
    )
    return PackedState(inner, like.layout)


def _is_packed(x: Any) -> bool:
    return isinstance(x, Packed)


def _spread_mask(mask: Any, params: Any) -> list[bool]:
    """The mask's value for each leaf, from a tree, a prefix of one, or a function."""
    if mask is None:
        return [True] * len(jax.tree.leaves(params))
    mask = mask(params) if callable(mask) else mask
    spread = jax.tree.map(lambda m, part: jax.tree.map(lambda _: m, part), mask, params)
    return jax.tree.leaves(spread)


def _lay_out(params: Any, masked: list[bool], small: int, block: int) -> Layout:
    leaves, tree = jax.tree.flatten(params)
    large: list[int] = []
    blocks: list[list[int]] = []
    opened: dict[Any, tuple[list[int], int]] = {}  # the block that each kind of leaf is filling
    for i, leaf in enumerate(leaves):
        size = jnp.size(leaf)
        if size > min(small, block):
            large.append(i)
            continue
        alike = (jnp.result_type(leaf), masked[i])
        group, filled = opened.get(alike, ([], block + 1))
        if filled + size > block or len(group) == LEAVES:
            group, filled = [], 0
            blocks.append(group)
        group.append(i)
        opened[alike] = (group, filled + size)
    shapes = tuple(jnp.shape(leaf) for leaf in leaves)
    return Layout(tree, shapes, tuple(large), tuple(map(tuple, blocks)))


def _pack(tree: Any, layout: Layout) -> Packed:
    leaves = layout.tree.flatten_up_to(tree)
    for i, leaf in enumerate(leaves):
        if leaf is None:
            raise ValueError(f"packed: leaf {i} of the gradients is None; give every gradient")
    blocks = []
    for group in layout.blocks:
        dtypes = {jnp.result_type(leaves[i]) for i in group}
        if len(dtypes) > 1:
            names = ", ".join(sorted(str(d) for d in dtypes))
            raise ValueError(f"packed: gradients of one block have dtypes {names}; cast them alike")
        blocks.append(jnp.concatenate([jnp.ravel(leaves[i]) for i in group]))
    return Packed([leaves[i] for i in layout.large], blocks)


def _unpack(packed: Packed, layout: Layout) -> Any:
    leaves: dict[int, Any] = dict(zip(layout.large, packed.large))
    for group, flat in zip(layout.blocks, packed.blocks):
        ends = np.cumsum([np.prod(layout.shapes[i], dtype=int) for i in group])
        for i, piece in zip(group, jnp.split(flat, ends[:-1])):
            leaves[i] = piece.reshape(layout.shapes[i])
    return layout.tree.unflatten([leaves[i] for i in range(len(layout.shapes))])


def _refuse_unless_elementwise(optimizer: optax.GradientTransformation) -> None:
    """Traces an update of one vector: each operation must leave every element in its place."""
    probe = jax.ShapeDtypeStruct((7,), jnp.float32)
    state = jax.eval_shape(optimizer.init, probe)
    mixing = _mixing(jax.make_jaxpr(optimizer.update)(probe, state, probe).jaxpr)
    if mixing:
        raise ValueError(
            f"packed: the optimizer is not elementwise (it has {mixing}), so leaves cannot share "
            "a block; use it as it is"
        )


def _mixing(jaxpr: Any) -> str | None:
    """The name of the first operation whose elements see each other."""
    for equation in jaxpr.eqns:
        inside = [p.jaxpr for p in equation.params.values() if hasattr(p, "jaxpr")]
        found = next(filter(None, map(_mixing, inside)), None)
        if found:
            return found
        shapes_in = {v.aval.shape for v in equation.invars}
        shapes_out = {v.aval.shape for v in equation.outvars}
        name: str = equation.primitive.name
        if (7,) in shapes_in and (
            shapes_out != {(7,)} or name.startswith("cum") or name in {"sort", "rev"}
        ):
            return name
    return None
