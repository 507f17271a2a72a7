"""Builds the network that the settings describe."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jaxopt_notes.config.settings import ROWS, Settings
from jaxopt_notes.models import CNN, MLP, like_torch
from jaxopt_notes.runtime.compilation import sooner


def build_network(config: Settings, image_shape: tuple[int, ...], classes: int) -> Any:
    """The network with its initial parameters, drawn from the seed.

    Args:
      config: the settings.
      image_shape: (height, width, channels).
      classes: the number of classes, and of logits.

    Raises:
      InputError: the images are too small for the network.
    """
    return initialised(maker(config, image_shape, classes), config.seed)


def maker(
    config: Settings, image_shape: tuple[int, ...], classes: int
) -> Callable[[nnx.Rngs], Any]:
    """`make(rngs)`, which draws the network; the arguments are those of `build_network`."""
    own = "widths" if config.model == "mlp" else "pooling"
    parts = {name: getattr(config, name) for name in (own, "norm", "activation", "dropout")}
    return _maker(config.model, image_shape, classes, config.init, tuple(parts.items()))


@functools.lru_cache(maxsize=32)
def _maker(
    model: str,
    image_shape: tuple[int, ...],
    classes: int,
    init: str,
    parts: tuple[tuple[str, Any], ...],
) -> Callable[[nnx.Rngs], Any]:
    """`make(rngs)` for `initialised`; equal settings share one function, so JAX traces it once."""
    kind: Any = MLP if model == "mlp" else CNN

    def make(rngs: nnx.Rngs) -> Any:
        network = kind(rngs, image_shape=image_shape, classes=classes, **dict(parts))
        if init == "torch":
            nnx.update(network, like_torch(rngs.params(), network))
        return network

    return make


def initialised(make: Callable[[nnx.Rngs], Any], seed: int) -> Any:
    """`make(nnx.Rngs(seed))` as one program; outside jit, JAX compiles one for each kernel's shape.

    Drawing a kernel takes milliseconds; compiling its program takes a second.
    """

    draw = jax.jit(_draw, static_argnums=0, **sooner())
    return nnx.merge(*draw(make, jax.random.key(seed)))


def _draw(make: Callable[[nnx.Rngs], Any], key: jax.Array) -> Any:
    return nnx.split(make(nnx.Rngs(key)))


def describe_network(config: Settings) -> str:
    """The network in a few words.

    >>> from jaxopt_notes.config.settings import resolve
    >>> describe_network(resolve({}, 1))
    'cnn'
    >>> describe_network(resolve({"model": "mlp", "norm": "batch", "dropout": 0.1}, 1))
    'mlp(widths 128, 64; norm batch; dropout 0.1)'
    """
    values = config.values()
    parts = [f"widths {', '.join(map(str, config.widths))}"] if config.widths else []
    for name in ("pooling", "norm", "activation", "dropout", "init"):
        if values[name] not in (None, ROWS[name].choose(values)):
            parts.append(f"{name} {values[name]}")
    return f"{config.model}({'; '.join(parts)})" if parts else config.model
