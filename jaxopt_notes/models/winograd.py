"""3×3 convolution, bias, ReLU and 2×2 max pooling for CPUs, from matrix products alone.

A pooling window is a Winograd tile. Its 2×2 convolution outputs Y come from a 3×3 kernel g and a
4×4 patch d of the padded image:

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A                          F(2×2, 3×3)

This takes 16 multiplications instead of 36; B and A hold only 0 and ±1, so they cost only
additions. Over all images, channels and kernels, each of the 16 positions of ⊙ is one dot, M = V U,
of

    V = Bᵀ d B: (windows, channels in)    and    U = G g Gᵀ: (channels in, channels out).

The pooled output is the maximum of a window's four outputs. The index of the maximum is enough for
the backward pass to place the cotangent y̅ of a window in Y̅. The rest is the transposed algorithm

    M̅ = A Y̅ Aᵀ,   U̅ = Vᵀ M̅,   V̅ = M̅ Uᵀ,   g̅ = Gᵀ U̅ G,   d̅ = B V̅ Bᵀ,

which takes as few multiplications. With few input channels (the first layer has one) the 16 dots
would be too narrow to be fast. There one dot multiplies all 16·channels numbers of a patch with the
four shifts of the kernel.

Source: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", section 4.1
(arXiv:1509.09308).

Arrays here are (rows, columns, images, channels), so neighbouring pixels are whole blocks apart.
Images are processed in chunks, by one `lax.scan` forward and one backward: if a step's temporary
memory exceeds malloc's threshold (32 MB), page faults take more time than arithmetic.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

Blocks = list[tuple[Array, Array]]  # (kernel, bias) pairs
# The backward pass needs the blocks, and for each lane and block its input and winners.
Residuals = tuple[Blocks, Sequence[Sequence[tuple[Array, Array]]]]
Tiles = list[list[Array]]  # [row][column] of a tile, each (rows, columns, images, channels)

B_T = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
A_T = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])

# A step of the scan takes LANES independent parts of LANE images. So the additions of one part,
# which run on one core, overlap with the dots of another. If several devices share a CPU, each
# takes one part, because the other devices use the other cores.
LANE = 8
LANES = 2
FEW = 4  # with fewer input channels, one dot is faster than Winograd's 16 narrow ones
OFF = 4  # the winner's code where ReLU gives 0; else 0 … 3, row by row


def conv_stack(x: Array, blocks: Sequence[tuple[Array, Array]]) -> Array:
    """For each (kernel, bias) of `blocks` in turn: 3×3 convolution, bias, ReLU, 2×2 max pooling.

    Equal to `convolutions.conv_stack` up to rounding, the gradient of tied windows included.

    Args:
      x: (batch, rows, columns, channels), float32, where 2 ** len(blocks) divides rows and columns.
      blocks: (kernel, bias) pairs, of shapes (3, 3, channels in, channels out) and (channels out,).

    Returns:
      (batch, rows // 2ⁿ, columns // 2ⁿ, channels of the last block) after n blocks.
    """
    # Adding a zero made from x lets a kernel vary over the devices that x varies over. Under
    # shard_map each device then computes the gradient of its own images, and JAX adds the
    # gradients.
    zero = jnp.zeros_like(x, shape=())
    return _conv_stack(x, [(kernel + zero, bias + zero) for kernel, bias in blocks])


@jax.custom_vjp
def _conv_stack(x: Array, blocks: Blocks) -> Array:
    return _forward(x, blocks)[0]


def _forward(x: Array, blocks: Blocks) -> tuple[Array, Residuals]:
    us = _transform_kernels(blocks)

    def lane(x: Array) -> tuple[Array, list[tuple[Array, Array]]]:
        saved = []
        for u, (kernel, bias) in zip(us, blocks, strict=True):
            y, winner = _pool([z + bias[None, None, None] for z in _method(kernel).convolve(x, u)])
            saved.append((x, winner))
            x = y
        return x, saved

    lanes = _split(x, 1 if jax.sharding.get_abstract_mesh().manual_axes else LANES)
    _, outputs = lax.scan(lambda _, xs: (None, [lane(x) for x in xs]), None, lanes)
    ys, saved = zip(*outputs, strict=True)
    return _join(ys, len(x)), (blocks, saved)


def _backward(residuals: Residuals, y_bar: Array) -> tuple[Array, Blocks]:
    blocks, saved = residuals
    us, untransform = jax.vjp(_transform_kernels, blocks)

    def lane(y_bar: Array, saved: Sequence[tuple[Array, Array]]) -> tuple[Array, Blocks]:
        weights_bar = []
        for u, (kernel, _), (x, winner) in zip(us[::-1], blocks[::-1], saved[::-1], strict=True):
            bias_bar = jnp.where(winner == OFF, 0, y_bar).sum((0, 1, 2))
            y_bar, u_bar = _method(kernel).transposed(x, u, winner, y_bar)
            weights_bar.append((u_bar, bias_bar))
        return y_bar, weights_bar[::-1]

    def chunk(total: Blocks, lanes: Sequence[Any]) -> tuple[Blocks, tuple[Array, ...]]:
        x_bars, weights_bars = zip(*[lane(*each) for each in lanes], strict=True)
        return jax.tree.map(lambda *terms: sum(terms), total, *weights_bars), x_bars

    zero = jax.tree.map(jnp.zeros_like, [(u, b) for u, (_, b) in zip(us, blocks, strict=True)])
    lanes = _split(y_bar, len(saved))
    total, x_bars = lax.scan(chunk, zero, list(zip(lanes, saved, strict=True)))
    (kernels_bar,) = untransform([u_bar for u_bar, _ in total])
    blocks_bar = [(k, b) for (k, _), (_, b) in zip(kernels_bar, total, strict=True)]
    return _join(x_bars, len(y_bar)), blocks_bar


_conv_stack.defvjp(_forward, _backward)


def _split(x: Array, lanes: int) -> list[Array]:
    """Each lane's (steps, rows, columns, images, channels), padded with a few blank images."""
    lanes = min(lanes, len(x))
    turns = -(-len(x) // (LANE * lanes))
    images = -(-len(x) // (turns * lanes))
    x = jnp.pad(x, ((0, turns * lanes * images - len(x)), (0, 0), (0, 0), (0, 0)))
    x = x.reshape(lanes, turns, images, *x.shape[1:])
    return list(x.transpose(0, 1, 3, 4, 2, 5))


def _join(lanes: Sequence[Array], batch: int) -> Array:
    x = jnp.concatenate([x.transpose(0, 3, 1, 2, 4) for x in lanes])
    return x.reshape(-1, *x.shape[2:])[:batch]


def _both_sides(T: np.ndarray, tiles: Tiles) -> Tiles:
    """T · tiles · Tᵀ."""
    half = zip(*[_combine(T, column) for column in zip(*tiles, strict=True)], strict=True)
    return [_combine(T, row) for row in half]


def _combine(T: np.ndarray, arrays: Sequence[Array]) -> list[Array]:
    """T · arrays, with no multiplication by 0 or ±1."""

    def term(factor: float, array: Array) -> Array:
        return array if factor == 1 else -array if factor == -1 else factor * array

    rows = [[term(float(t), a) for t, a in zip(row, arrays, strict=True) if t] for row in T]
    return [functools.reduce(jnp.add, terms) for terms in rows]


def _patches(x: Array) -> Tiles:
    """The 4×4 patch around each 2×2 window, with zeros beyond the border."""
    rows, columns = x.shape[0] // 2, x.shape[1] // 2
    x = jnp.pad(x, ((1, 1), (1, 1), (0, 0), (0, 0)))
    x = x.reshape(rows + 1, 2, columns + 1, 2, *x.shape[2:])
    return [
        [x[i // 2 : i // 2 + rows, i % 2, j // 2 : j // 2 + columns, j % 2] for j in range(4)]
        for i in range(4)
    ]


def _sum_patches(T: np.ndarray, tiles: Tiles) -> Array:
    """The transpose of `_patches` after T · tiles · Tᵀ: sums overlapping patches."""

    def windows(d: Sequence[Array], axis: int) -> tuple[Array, Array]:
        d0, d1, d2, d3 = _combine(T, d)  # d0 and d3 lie in the previous and the next window
        return d1 + _shift(d3, axis, 1), d2 + _shift(d0, axis, -1)

    half = zip(*[windows(column, 0) for column in zip(*tiles, strict=True)], strict=True)
    x = jnp.stack([jnp.stack(windows(row, 1), axis=2) for row in half], axis=1)
    rows, _, columns, _, *rest = x.shape
    return x.reshape(2 * rows, 2 * columns, *rest)


def _shift(x: Array, axis: int, by: int) -> Array:
    """x shifted by one place along `axis`, filled with zeros."""
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, [(by, -by, 0) if a == axis else (0, 0, 0) for a in range(x.ndim)])


def _pool(z: list[Array]) -> tuple[Array, Array]:
    """ReLU of the maximum, and the index of the maximum: the first one on a tie."""
    top, bottom = jnp.maximum(z[0], z[1]), jnp.maximum(z[2], z[3])
    y = jnp.maximum(jnp.maximum(top, bottom), 0)
    winner = jnp.where(top >= bottom, jnp.where(z[0] >= z[1], 0, 1), jnp.where(z[2] >= z[3], 2, 3))
    return y, jnp.where(y > 0, winner, OFF).astype(jnp.int8)


def _listed(tiles: Tiles) -> list[Array]:
    return [array for row in tiles for array in row]


# Winograd's 16 dots.


def _transform(kernel: Array) -> Tiles:
    return _both_sides(G, [[kernel[i, j] for j in range(3)] for i in range(3)])


def _convolve(x: Array, u: Tiles) -> list[Array]:
    v = _both_sides(B_T, _patches(x))
    m = [[v[i][j] @ u[i][j] for j in range(4)] for i in range(4)]
    return _listed(_both_sides(A_T, m))


def _transposed(x: Array, u: Tiles, winner: Array, y_bar: Array) -> tuple[Array, Tiles]:
    z_bar = [jnp.where(winner == code, y_bar, 0) for code in range(4)]
    m_bar = _both_sides(A_T.T, [z_bar[:2], z_bar[2:]])
    v = _both_sides(B_T, _patches(x))
    u_bar = [[_flat(v[i][j]).T @ _flat(m_bar[i][j]) for j in range(4)] for i in range(4)]
    v_bar = [[m_bar[i][j] @ u[i][j].T for j in range(4)] for i in range(4)]
    return _sum_patches(B_T.T, v_bar), u_bar


def _flat(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


# One dot for few input channels. The 16 numbers of a patch are the first axis, so stacking copies
# whole blocks.


def _transform_few(kernel: Array) -> Array:
    """The kernel at its four places in a patch, side by side: (16, channels in, 4·channels out)."""
    places = [((i, 1 - i), (j, 1 - j), (0, 0), (0, 0)) for i in (0, 1) for j in (0, 1)]
    u = jnp.concatenate([jnp.pad(kernel, place) for place in places], axis=3)
    return u.reshape(16, *u.shape[2:])


def _convolve_few(x: Array, u: Array) -> list[Array]:
    patches = jnp.stack(_listed(_patches(x)))
    z = lax.dot_general(patches, u, (((0, 4), (0, 1)), ((), ())))
    return jnp.split(z, 4, axis=-1)


def _transposed_few(x: Array, u: Array, winner: Array, y_bar: Array) -> tuple[Array, Array]:
    codes = jnp.arange(4, dtype=winner.dtype).reshape(1, 1, 1, 4, 1)
    z_bar = jnp.where(winner[..., None, :] == codes, y_bar[..., None, :], 0)
    z_bar = z_bar.reshape(*y_bar.shape[:3], -1)
    patches = jnp.stack(_listed(_patches(x)))
    u_bar = lax.dot_general(patches, z_bar, (((1, 2, 3), (0, 1, 2)), ((), ())))
    d_bar = [z_bar @ place.T for place in u]
    return _sum_patches(np.eye(4), [d_bar[i : i + 4] for i in range(0, 16, 4)]), u_bar


class _Method(NamedTuple):
    """A way to convolve, which first transforms a kernel to u, one or more arrays."""

    transform: Callable[[Array], Any]  # kernel -> u
    convolve: Callable[[Array, Any], list[Array]]  # x, u -> a window's four outputs, row by row
    transposed: Callable[[Array, Any, Array, Array], tuple[Array, Any]]
    # x, u, winner, y_bar -> x_bar, u_bar: the cotangents, from `_pool`'s result on the four outputs


def _method(kernel: Array) -> _Method:
    if kernel.shape[2] < FEW:
        return _Method(_transform_few, _convolve_few, _transposed_few)
    return _Method(_transform, _convolve, _transposed)


def _transform_kernels(blocks: list[tuple[Array, Array]]) -> list[Any]:
    return [_method(kernel).transform(kernel) for kernel, _ in blocks]
