"""Packs a loop's state into few arrays: on a GPU each array that a step writes costs a launch.

While the loop runs, the small arrays of one dtype lie end to end in one array. Reading one of them
costs nothing, because XLA fuses the slice with its user. Writing all of them costs one launch,
because XLA fuses the concatenation with the code that computes its parts. The numbers do not
change.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

SMALL = 1024  # elements; larger arrays are not packed


def packing(
    like: Any, small: int = SMALL
) -> tuple[Callable[[Any], list[jax.Array]], Callable[[list[jax.Array]], Any]]:
    """Returns functions that pack a tree into few arrays, and unpack it.

    Args:
      like: a tree of arrays, or of their shapes and dtypes.
      small: arrays of at most this many elements are packed, one pack for each dtype.

    Returns:
      `pack(tree) -> arrays` and `unpack(arrays) -> tree`, for trees like `like`.

    >>> pack, unpack = packing({"w": jnp.ones((2, 2)), "b": jnp.zeros(3), "t": jnp.int32(7)})
    >>> arrays = pack({"w": jnp.ones((2, 2)), "b": jnp.zeros(3), "t": jnp.int32(7)})
    >>> sorted(x.shape for x in arrays), int(unpack(arrays)["t"])
    ([(), (7,)], 7)
    """
    shapes, tree = jax.tree.flatten(jax.eval_shape(lambda: like))
    by_dtype = defaultdict(list)
    for i, x in enumerate(shapes):
        alone = x.size > small or jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        by_dtype[i if alone else x.dtype].append(i)
    groups = list(by_dtype.values())

    def pack(tree: Any) -> list[jax.Array]:
        leaves = jax.tree.leaves(tree)
        return [
            leaves[group[0]]
            if len(group) == 1
            else jnp.concatenate([jnp.ravel(leaves[i]) for i in group])
            for group in groups
        ]

    def unpack(arrays: list[jax.Array]) -> Any:
        leaves: dict[int, Any] = {}
        for group, array in zip(groups, arrays):
            if len(group) == 1:
                leaves[group[0]] = array
                continue
            start = 0
            for i in group:
                size = math.prod(shapes[i].shape)
                leaves[i] = array[start : start + size].reshape(shapes[i].shape)
                start += size
        return jax.tree.unflatten(tree, [leaves[i] for i in range(len(leaves))])

    return pack, unpack
