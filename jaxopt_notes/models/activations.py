"""The notes' activations by name, each with suitable initial weights.

    relu max(x, 0)    sigmoid 1 / (1 + e^−x)    tanh    gelu x Φ(x)

Φ is the exact normal cumulative distribution function, the default of torch's `GELU()`, not the
tanh approximation of flax and Keras.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx


class Activation(NamedTuple):
    """An activation and the initializer of the weights before it."""

    apply: Callable[[jax.Array], jax.Array]
    initializer: Any


# ReLU halves the mean square of its input, and GELU nearly does; He's initialisation (He et al.
# 2015, §2.2) compensates for that. Sigmoid and tanh are nearly linear around 0 and need no
# compensation.
_he, _lecun = nnx.initializers.he_normal(), nnx.initializers.lecun_normal()

ACTIVATIONS = {
    "relu": Activation(nnx.relu, _he),
    "sigmoid": Activation(nnx.sigmoid, _lecun),
    "tanh": Activation(nnx.tanh, _lecun),
    "gelu": Activation(functools.partial(nnx.gelu, approximate=False), _he),
}

before_logits = _lecun  # no activation follows the last layer
