"""torch's default initialisation: the distributions from which torch's layers draw their weights.

    Linear, Conv, ConvTranspose    weight and bias  U(−1/√fan_in, 1/√fan_in)
    Embed                          N(0, 1)
    BatchNorm, LayerNorm, …        scale 1, bias 0

fan_in is the number of inputs that an output sums: in, or for a convolution in / groups · rows ·
columns. For a transposed convolution torch uses out / groups · rows · columns. torch writes the
weights' rule as `kaiming_uniform_(a=√5)`, which is the same: √(6 / (1 + a²) / fan_in) = 1/√fan_in.

The distributions are torch's, but the numbers differ, because the random generators differ. For
torch's own numbers copy its weights with `from_torch`.

Source: `reset_parameters` of each layer in torch 2.13.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_notes.errors import InputError

Initialiser: TypeAlias = Callable[..., jax.Array]

_SUMS = (nnx.Linear, nnx.Conv, nnx.ConvTranspose)
_NORMS = (nnx.BatchNorm, nnx.GroupNorm, nnx.InstanceNorm, nnx.LayerNorm, nnx.RMSNorm)
_LAYERS = (*_SUMS, nnx.Embed, *_NORMS)
_FLAX_LAYERS = "flax.nnx.nn."  # the modules that define Flax's layers


def torch_bias_init(fan_in: int) -> Initialiser:
    """The initialiser of a bias: U(−1/√fan_in, 1/√fan_in), for `bias_init=` in Flax.

    Flax passes a bias initialiser only the bias's shape, so the caller passes fan_in: the input
    features, or for a convolution input features / groups · rows · columns of the kernel.

    Args:
      fan_in: how many inputs an output sums, at least 1.

    Returns:
      A function (key, shape, dtype=float32) → array. float16 and bfloat16 values are drawn in
      float32 and then rounded.

    Raises:
      InputError: fan_in is below 1.

    >>> inits = {"kernel_init": torch_kernel_init, "bias_init": torch_bias_init(784)}
    >>> layer = nnx.Linear(784, 128, **inits, rngs=nnx.Rngs(0))
    >>> bool(abs(layer.bias[...]).max() <= 1 / 28)
    True
    """
    if fan_in < 1:
        raise InputError(f"fan_in={fan_in}: a layer has at least one input; pass its number")
    bound = 1 / math.sqrt(fan_in)

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        drawn = jnp.promote_types(dtype, jnp.float32)  # half precision draws from a coarse grid
        return jax.random.uniform(key, shape, drawn, -bound, bound).astype(dtype)

    return init


def torch_kernel_init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """The initialiser of a dense or convolution kernel, for `kernel_init=` in Flax's nnx and Linen.

    U(−1/√fan_in, 1/√fan_in), fan_in the product of all axes but the last.

    Args:
      key: a random key.
      shape: (…, in, out), Flax's kernel layout.
      dtype: the dtype of the result.

    Returns:
      The kernel.

    Raises:
      InputError: the shape has an axis of size 0.

    >>> kernel = torch_kernel_init(jax.random.key(0), (3, 3, 4, 8))
    >>> bool(abs(kernel).max() <= 1 / 6)
    True
    """
    return torch_bias_init(math.prod(shape[:-1]))(key, shape, dtype)


def like_torch(seed: int | jax.Array, network: nnx.Module) -> dict[Any, Any]:
    """Parameters for a network, drawn from the default distributions of torch's layers.

    The distributions equal torch's, the numbers do not. Parameters outside Flax's layers, such as
    an `nnx.Param` in a class of yours, keep their values, because torch has no default for them.
    Batch normalisation's running averages begin at 0 and 1 in both frameworks.

    Args:
      seed: a number or a random key.
      network: a `CNN`, an `MLP` or any `nnx.Module`; it is not changed.

    Returns:
      Nested dicts of arrays, like `pure(network).params`, with the network's shapes and dtypes.
      `nnx.update(network, params)` puts them into the network.

    Raises:
      InputError: the network has a Flax layer that torch structures differently, such as a
        recurrent cell or attention.

    >>> from jaxopt_notes.models import MLP, pure
    >>> network = MLP(nnx.Rngs(0), image_shape=(8, 8, 1), widths=(16,))
    >>> params = like_torch(0, network)
    >>> jax.tree.structure(params) == jax.tree.structure(pure(network).params)
    True
    >>> nnx.update(network, params)
    """
    network = nnx.clone(network)
    modules = dict(nnx.iter_modules(network))
    state = nnx.state(network, nnx.Param)
    drawn = []
    for path, variable in nnx.to_flat_state(state):
        around = [modules[path[:i]] for i in range(len(path)) if path[:i] in modules]
        for module in around:
            _check_layer(module, path)
        if init := _initialiser(around[-1], str(path[-1])):
            drawn.append((variable, init))

    @jax.jit  # one program; without jit there would be one for each shape
    def draw(keys: list[jax.Array]) -> list[jax.Array]:
        return [init(key, x[...].shape, x[...].dtype) for key, (x, init) in zip(keys, drawn)]

    rngs = nnx.Rngs(params=seed)
    for (variable, _), array in zip(drawn, draw([rngs.params() for _ in drawn])):
        variable[...] = array
    params: dict[Any, Any] = nnx.to_pure_dict(state)
    return params


def _check_layer(module: Any, path: Sequence[Any]) -> None:
    flax = any(base.__module__.startswith(_FLAX_LAYERS) for base in type(module).__mro__)
    if flax and not isinstance(module, _LAYERS):
        raise InputError(
            f"network: {'.'.join(map(str, path))} belongs to a {type(module).__name__}, which "
            "torch lays out in another way; draw its parameters yourself, and pass the other "
            "layers to like_torch one by one"
        )


def _initialiser(module: Any, name: str) -> Initialiser | None:
    """The initialiser of a parameter of this module; None for a module that is not Flax's own."""
    if isinstance(module, _SUMS) and name in ("kernel", "bias"):
        size = module.kernel[...].size
        transposed = isinstance(module, nnx.ConvTranspose)
        return torch_bias_init(size // (module.in_features if transposed else module.out_features))
    if isinstance(module, nnx.Embed) and name == "embedding":
        return nnx.initializers.normal(1.0)
    if isinstance(module, _NORMS) and name in ("scale", "bias"):
        return nnx.initializers.ones if name == "scale" else nnx.initializers.zeros
    return None
