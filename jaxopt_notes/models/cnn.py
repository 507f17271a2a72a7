"""The notes' CNN: two convolutional blocks and two dense layers.

    image (28, 28, 1)
    conv 3×3, 32, padding 1 · ReLU · max pool 2×2     → (14, 14, 32)
    conv 3×3, 64, padding 1 · ReLU · max pool 2×2     → (7, 7, 64)
    flatten                                           → 3136
    dense 128 · ReLU
    dense 10                                          → logits

421,642 parameters. The last layer gives logits: a ReLU after it would take half of them away.
"""

from collections.abc import Sequence

import jax
from flax import nnx

from jaxopt_notes.models.layers import conv_stack

# ReLU halves the variance of what it passes on; He's initialisation (He et al. 2015, §2.2) makes
# up for that. The last layer has no ReLU.
_before_relu = nnx.initializers.he_normal()
_before_logits = nnx.initializers.lecun_normal()


class CNN(nnx.Module):
    """Convolution blocks, each 3×3 · ReLU · max pool 2×2, then two dense layers.

    Args:
      rngs: where the initial parameters come from.
      image_shape: (height, width, channels) of an image, large enough to be halved once a block.
      classes: how many logits.
      features: channels out of each block.
      hidden: width of the first dense layer.
    """

    def __init__(
        self,
        rngs: nnx.Rngs,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        classes: int = 10,
        features: Sequence[int] = (32, 64),
        hidden: int = 128,
    ) -> None:
        height, width, channels = image_shape
        blocks = []
        for out in features:
            blocks.append(nnx.Conv(channels, out, (3, 3), kernel_init=_before_relu, rngs=rngs))
            height, width, channels = height // 2, width // 2, out
        self.blocks = nnx.List(blocks)
        flat = height * width * channels
        self.dense = nnx.Linear(flat, hidden, kernel_init=_before_relu, rngs=rngs)
        self.logits = nnx.Linear(hidden, classes, kernel_init=_before_logits, rngs=rngs)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Logits (batch, classes) of normalised images (batch, height, width, channels)."""
        x = conv_stack(images, [(block.kernel[...], block.bias[...]) for block in self.blocks])
        x = x.reshape(x.shape[0], -1)
        x = nnx.relu(self.dense(x))
        return self.logits(x)
