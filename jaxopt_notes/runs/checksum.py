"""A checksum of arrays, computed on the devices that hold them."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

GOLDEN = np.uint32(0x9E3779B9)  # 2³² over the golden ratio: spreads the positions
FORM = 2  # form of new checksums; checkpoints of form 1 can still be read


@functools.partial(jax.jit, static_argnames="form")
def checksum(tree: Any, form: int = FORM) -> jax.Array:
    """A uint32 that changes with any bit of any leaf, however the leaves are laid out on devices.

        form 1    Σ_i bits_i · (2i + 1)                modulo 2³²
        form 2    Σ_i mix(bits_i + 0x9E3779B9 i)       modulo 2³²

    where bits_i are the bits of the i-th element as a number, and i counts through all leaves. Form
    1 misses a change of sign in two elements, because their sign bits cancel.
    """
    total, start = jnp.uint32(0), 0
    for leaf in jax.tree.leaves(tree):
        bits = _bits(leaf)
        index = jnp.full(bits.shape, start, jnp.uint32)
        for axis in range(bits.ndim):
            stride = np.uint32(math.prod(bits.shape[axis + 1 :]))
            index += jax.lax.broadcasted_iota(jnp.uint32, bits.shape, axis) * stride
        terms = bits * (2 * index + 1) if form == 1 else _mix(bits + index * GOLDEN)
        total += terms.sum(dtype=jnp.uint32)
        start += bits.size
    return total


def _mix(x: jax.Array) -> jax.Array:
    """A bijection of uint32 that mixes all bits: the last step of MurmurHash3 (Appleby, 2011)."""
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def _bits(x: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(x):
        x = jnp.stack([x.real, x.imag])
    if x.dtype == bool:
        return x.astype(jnp.uint32)
    # An element of eight bytes becomes two numbers, along a new last axis.
    width = {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32)
    return jax.lax.bitcast_convert_type(x, width).astype(jnp.uint32)
