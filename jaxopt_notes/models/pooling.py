"""Down-sampling by averages. Max pooling is in `convolutions`; a stride of 2 is an argument of the
convolution.

average pool    y[i, j] = mean over the window {2i, 2i + 1} × {2j, 2j + 1} of x
global average  y       = mean over all rows and columns of x
"""

import jax

POOLINGS = ("max", "average", "stride", "gap")


def average_pool_2x2(x: jax.Array) -> jax.Array:
    """Mean of each 2×2 window, stride 2, no padding, as flax's `avg_pool` and torch's `AvgPool2d`.

    An odd last row or column is dropped. It uses slices, because the gradient of
    `lax.reduce_window` is slow on a CPU.

    Args:
      x: (batch, rows, columns, channels), floating.

    Returns:
      (batch, rows // 2, columns // 2, channels), of x's dtype.

    >>> import jax.numpy as jnp
    >>> average_pool_2x2(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    Array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """
    batch, rows, columns, channels = x.shape
    even = x[:, : rows // 2 * 2, : columns // 2 * 2]
    windows = even.reshape(batch, rows // 2, 2, columns // 2, 2, channels)
    top = windows[:, :, 0, :, 0] + windows[:, :, 0, :, 1]
    bottom = windows[:, :, 1, :, 0] + windows[:, :, 1, :, 1]
    return (top + bottom) / 4


def global_average_pool(x: jax.Array) -> jax.Array:
    """Mean over rows and columns, as torch's `AdaptiveAvgPool2d(1)`.

    Args:
      x: (batch, rows, columns, channels), floating.

    Returns:
      (batch, 1, 1, channels), of x's dtype.

    >>> import jax.numpy as jnp
    >>> global_average_pool(jnp.arange(12.0).reshape(1, 3, 2, 2))[0, 0, 0]
    Array([5., 6.], dtype=float32)
    """
    return x.mean(axis=(1, 2), keepdims=True)
