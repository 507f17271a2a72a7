"""The convolutional layers of the notes' CNN: 3×3 convolution, bias, ReLU and 2×2 max pooling.

    y[i, j] = max over the window {2i, 2i + 1} × {2j, 2j + 1} of relu(x ∗ kernel + bias)

The layers are flax's, value and gradient: `nnx.Conv(padding="SAME")`, `nnx.relu`, `nnx.max_pool`.
Two things are computed differently, because that is faster on a CPU:

- Pooling compares the four elements of a window. `lax.reduce_window` has a gradient
  (select-and-scatter) that is slow on a CPU.
- ReLU follows the pooling, so it works on a quarter of the elements. The result is unchanged: both
  functions are monotone, and in a window without a positive element the gradient is 0 in either
  order.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxopt_notes.models import winograd
from jaxopt_notes.models.sharding import device_kind_in_trace, per_device


def max_pool_2x2(x: Array) -> Array:
    """Largest element of each 2×2 window, stride 2, no padding.

    The first maximum of a window, in row-major order, gets the whole gradient, as in flax and
    torch. Ties are common: in a blank background all four elements are equal. An odd last row or
    column is dropped. A NaN in a window gives NaN.

    Args:
      x: (batch, rows, columns, channels), any real dtype.

    Returns:
      (batch, rows // 2, columns // 2, channels), of x's dtype.

    >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    >>> max_pool_2x2(x)[0, :, :, 0]
    Array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    >>> jax.grad(lambda x: max_pool_2x2(x).sum())(jnp.ones((1, 2, 2, 1)))[0, :, :, 0]
    Array([[1., 0.],
           [0., 0.]], dtype=float32)
    """
    batch, rows, columns, channels = x.shape
    even = x[:, : rows // 2 * 2, : columns // 2 * 2]
    windows = even.reshape(batch, rows // 2, 2, columns // 2, 2, channels)
    top = _first_maximum(windows[:, :, 0, :, 0], windows[:, :, 0, :, 1])
    bottom = _first_maximum(windows[:, :, 1, :, 0], windows[:, :, 1, :, 1])
    return _first_maximum(top, bottom)


def _first_maximum(a: Array, b: Array) -> Array:
    """max(a, b); on a tie the whole gradient goes to `a`, where `jnp.maximum` would split it."""
    return jnp.where((a >= b) | jnp.isnan(a), a, b)


def conv_relu_pool(x: Array, kernel: Array, bias: Array) -> Array:
    """3×3 convolution at stride 1 and padding 1, bias, ReLU and 2×2 max pooling, by XLA.

    Args:
      x: (batch, rows, columns, channels in).
      kernel: (3, 3, channels in, channels out), of x's dtype.
      bias: (channels out,).

    Returns:
      (batch, rows // 2, columns // 2, channels out).
    """
    z = lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(max_pool_2x2(z + bias[None, None, None]))


def conv_stack(x: Array, blocks: Sequence[tuple[Array, Array]]) -> Array:
    """Applies `conv_relu_pool` with each (kernel, bias) of `blocks` in turn.

    On a CPU, float32 images that halve evenly go through `winograd.conv_stack`, which computes the
    same function up to rounding. All other inputs and platforms use XLA's convolutions, and so does
    an exported program with a symbolic batch size, because `winograd.conv_stack` splits the batch.
    `winograd.conv_stack` is a `jax.custom_vjp`, so it allows only reverse-mode derivatives
    (`jax.grad`).

    Args:
      x: (batch, rows, columns, channels).
      blocks: (kernel, bias) pairs, of shapes (3, 3, channels in, channels out) and (channels out,).

    Returns:
      (batch, rows // 2ⁿ, columns // 2ⁿ, channels of the last block) after n blocks.

    >>> images = jnp.ones((2, 28, 28, 1))
    >>> blocks = [(jnp.ones((3, 3, 1, 4)), jnp.zeros(4)), (jnp.ones((3, 3, 4, 8)), jnp.zeros(8))]
    >>> jax.jit(conv_stack)(images, blocks).shape
    (2, 7, 7, 8)
    """
    blocks = [(kernel, bias) for kernel, bias in blocks]
    float32 = all(a.dtype == jnp.float32 for a in jax.tree.leaves((x, blocks)))
    known = isinstance(x.shape[0], int)
    evenly = known and x.size > 0 and all(size % 2 ** len(blocks) == 0 for size in x.shape[1:3])
    if float32 and evenly and all(kernel.shape[:2] == (3, 3) for kernel, _ in blocks):
        quick = per_device(winograd.conv_stack, len(x))
        if (kind := device_kind_in_trace()) is None:  # traces both, compiles one
            y: Array = lax.platform_dependent(x, blocks, cpu=quick, default=_conv_stack)
            return y
        if kind == "cpu":
            return quick(x, blocks)
    return _conv_stack(x, blocks)


def _conv_stack(x: Array, blocks: Sequence[tuple[Array, Array]]) -> Array:
    for kernel, bias in blocks:
        x = conv_relu_pool(x, kernel, bias)
    return x
