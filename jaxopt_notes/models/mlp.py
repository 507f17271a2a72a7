"""The notes' dense network: each layer uses all features of the previous layer.

    flatten → (dense → [batch norm] → activation → [dropout]) for each width → dense → logits

The notes' network has widths 128 and 64 and batch normalisation.
"""

import itertools
from collections.abc import Sequence

import jax
from flax import nnx

from jaxopt_notes.errors import InputError
from jaxopt_notes.models.activations import ACTIVATIONS, before_logits
from jaxopt_notes.models.batch_norm import NORMS, BatchNorm
from jaxopt_notes.models.layer_list import (
    FLATTEN,
    Layer,
    apply_layers,
    check_choice,
    check_dropout,
)


class MLP(nnx.Module):
    """Dense layers.

    Args:
      rngs: the random generators for the initial parameters.
      image_shape: (height, width, channels) of an image.
      classes: how many logits.
      widths: output features of each hidden layer; without hidden layers the network is linear.
      norm: "none", or "batch" for batch normalisation after every hidden dense layer.
      activation: "relu", "sigmoid", "tanh" or "gelu".
      dropout: fraction of each hidden layer's features set to 0 in training.
      unbiased_running_variance: use torch's running variance, see `BatchNorm`.

    Raises:
      InputError: an argument is not one of the values above.

    >>> network = MLP(nnx.Rngs(0), image_shape=(8, 8, 1), widths=(16,), norm="batch")
    >>> [layer.name for layer in network.layers()]
    ['flatten', 'dense 16', 'batch norm', 'relu', 'dense 10']
    """

    def __init__(
        self,
        rngs: nnx.Rngs,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        classes: int = 10,
        widths: Sequence[int] = (128, 64),
        norm: str = "none",
        activation: str = "relu",
        dropout: float = 0.0,
        unbiased_running_variance: bool = False,
    ) -> None:
        check_choice("norm", norm, NORMS)
        check_choice("activation", activation, tuple(ACTIVATIONS))
        check_dropout(dropout)
        if any(width < 1 for width in widths):
            raise InputError(f"widths={tuple(widths)}: pass whole numbers from 1")
        self.image_shape, self.activation = tuple(image_shape), activation
        kernel_init = ACTIVATIONS[activation].initializer
        height, width, channels = image_shape
        features = [height * width * channels, *widths]
        self.hidden = nnx.List(
            [
                nnx.Linear(a, b, kernel_init=kernel_init, rngs=rngs)
                for a, b in itertools.pairwise(features)
            ]
        )
        self.logits = nnx.Linear(features[-1], classes, kernel_init=before_logits, rngs=rngs)
        self.norms = nnx.List(
            [
                BatchNorm(b, rngs=rngs, unbiased_running_variance=unbiased_running_variance)
                for b in widths
                if norm == "batch"
            ]
        )
        self.dropout = nnx.Dropout(dropout)

    def layers(self) -> list[Layer]:
        """All layers in order."""
        layers = [FLATTEN]
        for i, dense in enumerate(self.hidden):
            layers.append(Layer(f"dense {dense.out_features}", dense))
            if self.norms:
                layers.append(Layer("batch norm", self.norms[i]))
            layers.append(Layer(self.activation, ACTIVATIONS[self.activation].apply))
            if self.dropout.rate:
                layers.append(Layer(f"dropout {self.dropout.rate:g}", self.dropout))
        return [*layers, Layer(f"dense {self.logits.out_features}", self.logits)]

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Logits (batch, classes) of normalised images (batch, height, width, channels)."""
        return apply_layers(self.layers(), images, rngs)
