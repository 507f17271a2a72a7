"""A checksum of arrays, computed where they are."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@jax.jit
def checksum(tree: Any) -> jax.Array:
    """A uint32 that changes with any bit of any leaf, however the leaves are laid out on devices.

        Σ_i bits_i · (2i + 1)  modulo 2³²

    where bits_i are the bits of the i-th element as a number, and i counts through all leaves.
    """
    total, start = jnp.uint32(0), 0
    for leaf in jax.tree.leaves(tree):
        bits = _bits(leaf)
        index = jnp.full(bits.shape, start, jnp.uint32)
        for axis in range(bits.ndim):
            stride = np.uint32(math.prod(bits.shape[axis + 1 :]))
            index += jax.lax.broadcasted_iota(jnp.uint32, bits.shape, axis) * stride
        total += (bits * (2 * index + 1)).sum(dtype=jnp.uint32)
        start += bits.size
    return total


def _bits(x: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(x):
        x = jnp.stack([x.real, x.imag])
    if x.dtype == bool:
        return x.astype(jnp.uint32)
    # Eight bytes become two numbers, along a new last axis.
    width = {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32)
    return jax.lax.bitcast_convert_type(x, width).astype(jnp.uint32)
