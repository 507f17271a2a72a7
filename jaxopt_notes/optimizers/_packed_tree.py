"""A packed tree of parameters: small leaves end to end in blocks, and the place of each leaf."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes.optimizers.engine import is_cut

LEAVES = 16  # at most in one block


class Packed(NamedTuple):
    """A tree like the parameters: its large leaves and its blocks.

    JAX treats the layout as structure, not as data. The layout holds only strings and the
    parameters' own containers, so any format that can store the plain optimizer's state can store
    the packed state.

    Attributes:
      large: the leaves that stay as they are.
      blocks: flat arrays; each has the elements of some leaves, end to end.
      layout: the parameters' tree with a string for each leaf, its place and shape: "large:300,64",
        or "3:5,2" in block 3.
    """

    large: list[Any]
    blocks: list[Any]
    layout: Any


class Places(NamedTuple):
    """A layout in numbers.

    Attributes:
      shapes: the leaves' shapes, in the tree's order.
      large: positions of the leaves that stay as they are.
      blocks: for each block, the positions of its leaves in their order.
    """

    shapes: list[tuple[int, ...]]
    large: list[int]
    blocks: list[list[int]]


def _flatten(packed: Packed) -> tuple[tuple[Any, Any], Any]:
    leaves, tree = jax.tree.flatten(packed.layout)
    return (packed.large, packed.blocks), (tree, tuple(leaves))


def _flatten_with_keys(packed: Packed) -> tuple[Any, Any]:
    children, structure = _flatten(packed)
    keys = map(jax.tree_util.GetAttrKey, ("large", "blocks"))
    return tuple(zip(keys, children)), structure


def _unflatten(structure: Any, children: Any) -> Packed:
    (large, blocks), (tree, leaves) = children, structure
    return Packed(large, blocks, jax.tree.unflatten(tree, leaves))


jax.tree_util.register_pytree_with_keys(Packed, _flatten_with_keys, _unflatten, _flatten)


def lay_out(trees: Sequence[Any], masked: list[bool], small: int, block: int) -> Any:
    """A layout for these trees. In each tree, a block has one dtype and one mask value."""
    if isinstance(trees[0], Packed):
        raise ValueError("packed: the optimizer is packed already; use packed(…) once")
    leaves, tree = jax.tree.flatten(trees[0])
    alike = zip(*(map(_dtype, leaves_like(t, trees[0])) for t in trees), masked)
    layout = []
    opened: dict[Any, tuple[int, int, int]] = {}  # the unfilled block of each kind of leaf
    blocks = 0
    for leaf, kind in zip(leaves, alike):
        size, place = jnp.size(leaf), "large"
        if size <= min(small, block) and not is_cut(leaf):
            number, filled, members = opened.get(kind, (-1, 0, LEAVES))
            if filled + size > block or members == LEAVES:
                number, filled, members = blocks, 0, 0
                blocks += 1
            opened[kind] = (number, filled + size, members + 1)
            place = str(number)
        layout.append(f"{place}:{','.join(map(str, jnp.shape(leaf)))}")
    return jax.tree.unflatten(tree, layout)


def find_layout(state: Any) -> Any:
    """The layout of the first packed tree in a state; None without a packed tree."""
    nodes = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, Packed))
    return next((x.layout for x in nodes if isinstance(x, Packed)), None)


def places(layout: Any) -> Places:
    """The place of each leaf."""
    result, by_block = Places([], [], []), dict[str, list[int]]()
    for i, leaf in enumerate(jax.tree.leaves(layout)):
        place, shape = leaf.split(":")
        result.shapes.append(tuple(int(n) for n in shape.split(",") if n))
        group = result.large if place == "large" else by_block.setdefault(place, [])
        group.append(i)
    return result._replace(blocks=list(by_block.values()))


def pack(tree: Any, layout: Any, *, stacked: bool = False) -> Packed:
    """Packs a tree that is shaped like the parameters.

    Args:
      tree: the gradients, the parameters, or a slot of the plain optimizer.
      layout: as `lay_out` makes it.
      stacked: whether each leaf may have extra leading axes, from `vmap` or replicas.

    Raises:
      ValueError: a leaf is missing or has another name or shape; the leaves of a block differ in
        dtype.
    """
    at, leaves = places(layout), leaves_like(tree, layout)
    fronts = [
        _front(i, leaf, shape, stacked) for i, (leaf, shape) in enumerate(zip(leaves, at.shapes))
    ]
    blocks = []
    for group in at.blocks:
        parts = [leaves[i] for i in group]
        if any(isinstance(part, optax.MaskedNode) for part in parts):
            blocks.append(parts[0])
            continue
        dtypes = {jnp.result_type(part) for part in parts}
        if len(dtypes) > 1:
            names = ", ".join(sorted(map(str, dtypes)))
            raise ValueError(f"packed: gradients of one block have dtypes {names}; cast them alike")
        flat = [jnp.reshape(leaves[i], (*fronts[i], -1)) for i in group]
        blocks.append(jnp.concatenate(flat, axis=-1))
    return Packed([leaves[i] for i in at.large], blocks, layout)


def _dtype(leaf: Any) -> Any:
    return None if leaf is None else jnp.result_type(leaf)


def _front(i: int, leaf: Any, shape: tuple[int, ...], stacked: bool) -> tuple[int, ...]:
    """The extra leading axes of a leaf."""
    if leaf is None:
        raise ValueError(f"packed: leaf {i} of the gradients is None; pass every gradient")
    if isinstance(leaf, optax.MaskedNode):
        return ()
    front, own = np.split(np.array(jnp.shape(leaf), int), [max(jnp.ndim(leaf) - len(shape), 0)])
    if tuple(own) != shape or (len(front) and not stacked):
        raise ValueError(
            f"packed: leaf {i} has shape {jnp.shape(leaf)}, but its parameter has {shape}"
        )
    return tuple(map(int, front))


def unpack(packed: Packed) -> list[Any]:
    """The leaves in the order of the parameters."""
    at = places(packed.layout)
    leaves: dict[int, Any] = dict(zip(at.large, packed.large))
    for group, flat in zip(at.blocks, packed.blocks):
        if isinstance(flat, optax.MaskedNode):
            leaves |= dict.fromkeys(group, flat)
            continue
        ends = np.cumsum([np.prod(at.shapes[i], dtype=int) for i in group])
        for i, piece in zip(group, jnp.split(flat, ends[:-1], axis=-1)):
            leaves[i] = piece.reshape(*piece.shape[:-1], *at.shapes[i])
    return [leaves[i] for i in range(len(leaves))]


def leaves_like(tree: Any, like: Any) -> list[Any]:
    """The leaves of a tree, in the order of another tree that has the same names.

    Raises:
      ValueError: the trees differ.
    """
    wanted: Any = jax.tree.structure(like)
    try:
        leaves: list[Any] = wanted.flatten_up_to(tree)
    except ValueError:
        # nnx creates the state from Variables and updates it with the arrays inside them.
        if not _same_names(tree, like):
            raise
        leaves = jax.tree.leaves(tree)
    return leaves


def _same_names(one: Any, other: Any) -> bool:
    """Whether the leaves have equal paths, apart from a container directly around a leaf."""

    def names(tree: Any) -> list[list[str]]:
        paths = (path for path, _ in jax.tree.leaves_with_path(tree))
        return [[jax.tree_util.keystr((key,), simple=True) for key in path] for path in paths]

    a, b = names(one), names(other)
    return len(a) == len(b) and all(
        abs(len(x) - len(y)) <= 1 and x[: len(y)] == y[: len(x)] for x, y in zip(a, b)
    )
