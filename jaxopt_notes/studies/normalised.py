"""Small networks with and without batch normalisation: dense, convolutional, mixture of experts.

Small enough for sweeps on two cores, and made of matrix products only: under vmap over the seeds
XLA turns convolutions into grouped ones, which are slow on a CPU.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_notes.models import MLP, BatchNorm
from jaxopt_notes.models.activations import ACTIVATIONS, before_logits
from jaxopt_notes.models.layer_list import flatten
from jaxopt_notes.models.pooling import average_pool_2x2

_HE = ACTIVATIONS["relu"].initializer


class Block(nnx.Module):
    """Dense → [batch norm] → ReLU on the last axis.

    Args:
      features_in: of the input.
      features: of the output.
      norm: whether batch normalisation stands in between.
      rngs: where the initial weights come from.
    """

    def __init__(self, features_in: int, features: int, norm: bool, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(features_in, features, kernel_init=_HE, rngs=rngs)
        self.norm = BatchNorm(features, rngs=rngs) if norm else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """ReLU of the (normalised) products, (…, features)."""
        x = self.dense(x)
        return nnx.relu(x if self.norm is None else self.norm(x))


class Dense(nnx.Module):
    """784 → 64 → 64 → 10."""

    def __init__(self, rngs: nnx.Rngs, norm: bool) -> None:
        self.blocks = nnx.List([Block(784, 64, norm, rngs), Block(64, 64, norm, rngs)])
        self.logits = nnx.Linear(64, 10, kernel_init=before_logits, rngs=rngs)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Logits (batch, 10) of images (batch, 28, 28, 1)."""
        x = flatten(images)
        for block in self.blocks:
            x = block(x)
        return self.logits(x)


class Convolutional(nnx.Module):
    """Images halved to 14×14; 3×3 convolutions of stride 2 to 8 and 16 channels; 256 → 32 → 10."""

    def __init__(self, rngs: nnx.Rngs, norm: bool) -> None:
        self.convs = nnx.List([Block(9, 8, norm, rngs), Block(72, 16, norm, rngs)])
        self.hidden = Block(4 * 4 * 16, 32, norm, rngs)
        self.logits = nnx.Linear(32, 10, kernel_init=before_logits, rngs=rngs)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Logits (batch, 10) of images (batch, 28, 28, 1)."""
        x = average_pool_2x2(images)
        for conv in self.convs:
            x = conv(patches(x))
        return self.logits(self.hidden(flatten(x)))


class Mixture(nnx.Module):
    """784 → 64, then four experts of 32 features; a softmax gate weighs what they say.

    logits = b + Σ_k g_k(x) W_k relu(U_k x): every expert sees every image, as in Jacobs et al.
    1991, so that each expert's statistics are over the whole batch.
    """

    experts, features = 4, 32

    def __init__(self, rngs: nnx.Rngs, norm: bool) -> None:
        inside = self.experts * self.features
        self.trunk = Block(784, 64, norm, rngs)
        self.gate = nnx.Linear(64, self.experts, kernel_init=before_logits, rngs=rngs)
        self.inside = Block(64, inside, norm, rngs)
        self.logits = nnx.Linear(inside, 10, kernel_init=before_logits, rngs=rngs)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Logits (batch, 10) of images (batch, 28, 28, 1)."""
        x = self.trunk(flatten(images))
        weight = jnp.repeat(nnx.softmax(self.gate(x)), self.features, axis=-1)
        return self.logits(weight * self.inside(x))


def patches(x: jax.Array) -> jax.Array:
    """The 3×3 neighbourhood of every second pixel in every second row, zeros around the image.

    A dense layer on them is a 3×3 convolution of stride 2 and padding 1.

    Args:
      x: (batch, rows, columns, channels).

    Returns:
      (batch, ⌈rows / 2⌉, ⌈columns / 2⌉, 9 · channels).
    """
    rows, columns = x.shape[1:3]
    around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [around[:, i : i + rows : 2, j : j + columns : 2] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1)


class GroupedNorm(BatchNorm):
    """Batch normalisation whose statistics are of `size` images each, not of the whole batch.

    A batch of 128 with size 32 is normalised in four groups of 32 ("ghost" batch normalisation,
    Hoffer et al. 2017). The running averages move once a batch, with the groups' mean and their
    unbiased variance, so that a small group does not shift what serves at evaluation.
    """

    def __init__(self, features: int, size: int, rngs: nnx.Rngs) -> None:
        super().__init__(features, rngs=rngs, unbiased_running_variance=True)
        self.size = size

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        """y of x (batch, features), the batch a multiple of `size`."""
        if self.use_running_average:
            return super().__call__(x)
        groups = x.reshape(-1, self.size, x.shape[-1])
        mean, var = groups.mean(1), groups.var(1)
        unbiased = var * self.size / (self.size - 1)
        keep = self.momentum
        self.mean[...] = keep * self.mean[...] + (1 - keep) * mean.mean(0)
        self.var[...] = keep * self.var[...] + (1 - keep) * unbiased.mean(0)
        normal = (groups - mean[:, None]) / jnp.sqrt(var[:, None] + self.epsilon)
        scale: Any = self.scale  # both are there, which nnx.BatchNorm's type leaves open
        bias: Any = self.bias
        return (scale[...] * normal + bias[...]).reshape(x.shape)


def grouped(rngs: nnx.Rngs, widths: tuple[int, ...], size: int) -> MLP:
    """The dense network with statistics of `size` images each."""
    network = MLP(rngs, widths=widths, norm="batch")
    network.norms = nnx.List([GroupedNorm(width, size, rngs) for width in widths])
    return network
