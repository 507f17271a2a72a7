"""A network as the list of its layers, in order.

The forward pass, the summary and the exchange of weights with torch share one list, so they always
agree.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from flax import nnx

from jaxopt_notes.errors import InputError


class Layer(NamedTuple):
    """A step of the forward pass.

    Attributes:
      name: the layer's name for readers.
      apply: a function of an array with the batch axis first, or a Flax module if the layer has
        parameters or is random.
    """

    name: str
    apply: Callable[..., jax.Array]


def apply_layers(layers: Sequence[Layer], x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
    """Applies the layers in order; `rngs` feeds dropout in training."""
    for _, apply in layers:
        random = rngs is not None and isinstance(apply, nnx.Dropout)
        x = apply(x, rngs=rngs) if random else apply(x)
    return x


def flatten(x: jax.Array) -> jax.Array:
    """Reshapes (batch, …) to (batch, features), last axis fastest: torch's `Flatten` of an NHWC
    array.

    >>> import jax.numpy as jnp
    >>> flatten(jnp.zeros((5, 28, 28, 1))).shape
    (5, 784)
    """
    return x.reshape(x.shape[0], -1)


FLATTEN = Layer("flatten", flatten)


def check_choice(argument: str, value: str, known: Sequence[str]) -> None:
    """Refuses an unknown name.

    Raises:
      InputError: the message has the argument, its value and the allowed names.
    """
    if value not in known:
        raise InputError(f"{argument}={value!r}: unknown; pass one of {', '.join(known)}")


def check_dropout(dropout: float) -> None:
    """Refuses a dropout probability outside [0, 1).

    Raises:
      InputError: the message has the probability.
    """
    if not 0 <= dropout < 1:
        raise InputError(f"dropout={dropout}: pass a share of at least 0 and below 1")
