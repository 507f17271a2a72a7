"""Shifts training images at random, so that a network sees more than a small set holds."""

import jax
import jax.numpy as jnp


def shift(key: jax.Array, images: jax.Array, by: int) -> jax.Array:
    """Moves each image by up to `by` pixels along each axis; repeats its edge to fill the gap.

    Args:
      key: random key that draws each image's move, uniformly from the (2 by + 1)² moves.
      images: (batch, height, width, channels).
      by: pixels; 0 leaves the images as they are.

    Returns:
      Images of the same shape and dtype.

    >>> image = jnp.arange(3.0)[None, None, :, None]
    >>> moved = shift(jax.random.key(1), image, by=1)
    >>> moved.shape
    (1, 1, 3, 1)
    """
    if by == 0:
        return images
    _, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (by, by), (by, by), (0, 0)), mode="edge")
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * by + 1, jnp.int32)

    def cut(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (*corner, 0), (height, width, channels))

    return jax.vmap(cut)(padded, corners)
