"""The notes' CNN: two convolutional blocks and two dense layers.

    image (28, 28, 1)
    conv 3×3, 32, padding 1 · ReLU · max pool 2×2     → (14, 14, 32)
    conv 3×3, 64, padding 1 · ReLU · max pool 2×2     → (7, 7, 64)
    flatten                                           → 3136
    dense 128 · ReLU
    dense 10                                          → logits

421,642 parameters. The last layer gives logits; a ReLU after it would set about half of them to 0.

Arguments select the notes' other parts: another way to shrink the image, another activation, batch
normalisation after each layer except the last, dropout before the last layer.
"""

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from jaxopt_notes.errors import InputError
from jaxopt_notes.models.activations import ACTIVATIONS, before_logits
from jaxopt_notes.models.batch_norm import NORMS, BatchNorm
from jaxopt_notes.models.convolutions import conv_stack, max_pool_2x2
from jaxopt_notes.models.layer_list import (
    FLATTEN,
    Layer,
    apply_layers,
    check_choice,
    check_dropout,
)
from jaxopt_notes.models.pooling import POOLINGS, average_pool_2x2, global_average_pool

_MAX = Layer("max pool 2×2", max_pool_2x2)
# how a block halves the image after its activation; a stride has halved it before
_POOLS = {
    "max": [_MAX],
    "average": [Layer("average pool 2×2", average_pool_2x2)],
    "stride": [],
    "gap": [_MAX],
}


class CNN(nnx.Module):
    """Blocks of 3×3 convolution, [batch norm], activation and pooling; then dense layers.

    Args:
      rngs: the random generators for the initial parameters.
      image_shape: (height, width, channels) of an image, large enough for each block to halve it.
      classes: how many logits.
      features: output channels of each block.
      hidden: width of the first dense layer; unused with `pooling="gap"`.
      pooling: "max" or "average" over 2×2 windows; "stride", a stride of 2 in the convolution
        itself; or "gap": max pooling in the blocks, then the global average of each channel instead
        of flattening and the first dense layer. The averages differ little between images, so the
        last layer learns slowly: use a learning rate about ten times as large.
      norm: "none", or "batch" for batch normalisation after every layer except the last.
      activation: "relu", "sigmoid", "tanh" or "gelu".
      dropout: fraction of the last layer's inputs set to 0 in training.
      unbiased_running_variance: use torch's running variance, see `BatchNorm`.

    Raises:
      InputError: an argument is not one of the values above, or the images are too
        small for the pools.

    >>> network = CNN(nnx.Rngs(0), image_shape=(8, 8, 1), features=(4,), pooling="stride")
    >>> [layer.name for layer in network.layers()]
    ['conv 3×3, 4, stride 2', 'relu', 'flatten', 'dense 128', 'relu', 'dense 10']
    """

    def __init__(
        self,
        rngs: nnx.Rngs,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        classes: int = 10,
        features: Sequence[int] = (32, 64),
        hidden: int = 128,
        pooling: str = "max",
        norm: str = "none",
        activation: str = "relu",
        dropout: float = 0.0,
        unbiased_running_variance: bool = False,
    ) -> None:
        check_choice("pooling", pooling, POOLINGS)
        check_choice("norm", norm, NORMS)
        check_choice("activation", activation, tuple(ACTIVATIONS))
        check_dropout(dropout)
        height, width = _after_blocks(image_shape, len(features), pooling)
        self.image_shape = tuple(image_shape)
        self.pooling, self.activation = pooling, activation
        # The blocks that the fast fused convolution, ReLU and pooling can compute.
        self.plain = pooling in ("max", "gap") and norm == "none" and activation == "relu"
        kernel_init = ACTIVATIONS[activation].initializer
        channels = [image_shape[2], *features]
        stride = 2 if pooling == "stride" else 1
        self.blocks = nnx.List(
            [
                nnx.Conv(a, b, (3, 3), stride, padding=1, kernel_init=kernel_init, rngs=rngs)
                for a, b in zip(channels, features)
            ]
        )
        last = channels[-1]
        if pooling != "gap":
            flat, last = height * width * last, hidden
            self.dense = nnx.Linear(flat, hidden, kernel_init=kernel_init, rngs=rngs)
        self.logits = nnx.Linear(last, classes, kernel_init=before_logits, rngs=rngs)
        if norm == "batch":
            normed = features if pooling == "gap" else (*features, hidden)
            self.norms = nnx.List(
                [
                    BatchNorm(n, rngs=rngs, unbiased_running_variance=unbiased_running_variance)
                    for n in normed
                ]
            )
        self.dropout = nnx.Dropout(dropout)

    def layers(self) -> list[Layer]:
        """All layers in the notes' order."""
        layers = []
        for i, conv in enumerate(self.blocks):
            stride = ", stride 2" if self.pooling == "stride" else ""
            name = f"conv 3×3, {conv.out_features}{stride}"
            layers += [Layer(name, conv), *self._after(i), *_POOLS[self.pooling]]
        if self.pooling == "gap":
            layers += [Layer("global average pool", global_average_pool), FLATTEN]
        else:
            dense = Layer(f"dense {self.dense.out_features}", self.dense)
            layers += [FLATTEN, dense, *self._after(-1)]
        if self.dropout.rate:
            layers.append(Layer(f"dropout {self.dropout.rate:g}", self.dropout))
        return [*layers, Layer(f"dense {self.logits.out_features}", self.logits)]

    def _after(self, i: int) -> list[Layer]:
        """The layers after the i-th convolution; for −1, after the first dense layer."""
        norm = [Layer("batch norm", self.norms[i])] if hasattr(self, "norms") else []
        return [*norm, Layer(self.activation, ACTIVATIONS[self.activation].apply)]

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Logits (batch, classes) of normalised images (batch, height, width, channels)."""
        x, layers = images, self.layers()
        if self.plain:
            convs: Any = self.blocks  # each has a bias, which is optional in nnx.Conv's type
            x = conv_stack(x, [(conv.kernel[...], conv.bias[...]) for conv in convs])
            layers = layers[3 * len(self.blocks) :]
        return apply_layers(layers, x, rngs)


def _after_blocks(image_shape: Sequence[int], blocks: int, pooling: str) -> tuple[int, int]:
    """An image's rows and columns after `blocks` halvings; pools round down, strides up."""
    height, width = image_shape[:2]
    if pooling == "stride":
        return -(-height // 2**blocks), -(-width // 2**blocks)
    least = 2**blocks
    if min(height, width) < least:
        raise InputError(
            f"images of {height}×{width}: too small to be halved {blocks} times by "
            f"pooling={pooling!r}; pass at least {least}×{least}, or pooling='stride'"
        )
    return height // least, width // least
