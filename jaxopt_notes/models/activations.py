"""The activations of the notes, by name, and the initial weights that suit each.

    relu max(x, 0)    sigmoid 1 / (1 + e^−x)    tanh    gelu x Φ(x)

Φ is the normal distribution's own cumulative function, as torch's `GELU()` has it by default, not
the approximation by tanh that flax and Keras take.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx


class Activation(NamedTuple):
    """An activation and the initializer of the weights in front of it."""

    apply: Callable[[jax.Array], jax.Array]
    initializer: Any


# ReLU halves the mean square of what it passes on, and GELU nearly so; He's initialisation (He et
# al. 2015, §2.2) makes up for that. Sigmoid and tanh are nearly linear around 0.
_he, _lecun = nnx.initializers.he_normal(), nnx.initializers.lecun_normal()

ACTIVATIONS = {
    "relu": Activation(nnx.relu, _he),
    "sigmoid": Activation(nnx.sigmoid, _lecun),
    "tanh": Activation(nnx.tanh, _lecun),
    "gelu": Activation(functools.partial(nnx.gelu, approximate=False), _he),
}

before_logits = _lecun  # nothing follows the last layer
