"""The layers with weights of a network, and their names in a torch `state_dict`.

    layer           torch                           here
    convolution     weight (out, in, 3, 3)          kernel (3, 3, in, out)
    dense           weight (out, in)                kernel (in, out)
    batch norm      weight, running_mean, _var      scale, mean, var
    all of them     bias                            bias

The first dense layer after a flattened image needs care: torch flattens (channels, rows, columns),
we flatten (rows, columns, channels), so the order of its inputs differs. The two orders are equal
for a single channel, or after a global average.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from jaxopt_notes.errors import InputError
from jaxopt_notes.models.layer_list import FLATTEN
from jaxopt_notes.models.summary import summarize
from jaxopt_notes.models.torch_names import by_number, in_given_order, in_order

# For a layer's torch entries: the collection (parameters or statistics) and the name in Flax.
PARAMS, STATS = 0, 1
_WEIGHTS = {"weight": (PARAMS, "kernel"), "bias": (PARAMS, "bias")}
_NORM = {
    "weight": (PARAMS, "scale"),
    "bias": (PARAMS, "bias"),
    "running_mean": (STATS, "mean"),
    "running_var": (STATS, "var"),
}
COUNTER = "num_batches_tracked"  # only torch's cumulative averages use it


def after_flatten(rows: int, columns: int, channels: int) -> Callable[[Any], Any]:
    """The function that turns a dense layer's torch weight into its kernel, after a flattened
    image.

    torch flattens (channels, rows, columns), Flax (rows, columns, channels), so the inputs of the
    weight (out, in) and of the kernel (in, out) have different orders.

    >>> weight = np.array([[0, 1, 2, 3]])  # 1 row, 2 columns, 2 channels
    >>> print(after_flatten(1, 2, 2)(weight).T)
    [[0 2 1 3]]
    """

    def move(weight: Any) -> Any:
        images = weight.reshape(-1, channels, rows, columns)
        return images.transpose(2, 3, 1, 0).reshape(rows * columns * channels, -1)

    return move


class Weighted(NamedTuple):
    """A layer with weights: its place in a plain `nn.Sequential` and in Flax's trees."""

    position: str
    name: str
    path: tuple[Any, ...]
    module: Any
    image: tuple[int, ...]  # (rows, columns, channels) if the layer's input was just flattened

    @property
    def counted(self) -> bool:
        """Whether torch counts the layer's batches."""
        return self.entries is _NORM

    @property
    def entries(self) -> dict[str, tuple[int, str]]:
        """torch's name of an array → its collection and its name in Flax."""
        return _NORM if isinstance(self.module, nnx.BatchNorm) else _WEIGHTS

    def to_flax(self, array: np.ndarray, entry: str) -> np.ndarray:
        """torch's array in Flax's layout."""
        if entry != "weight" or array.ndim == 1:
            return array
        if array.ndim == 4:
            return array.transpose(2, 3, 1, 0)
        return after_flatten(*self.image)(array) if self.image else array.T

    def to_torch(self, array: np.ndarray, entry: str) -> np.ndarray:
        """Flax's array in torch's layout."""
        if entry != "weight" or array.ndim == 1:
            return array
        if array.ndim == 4:
            return array.transpose(3, 2, 0, 1)
        if not self.image:
            return array.T
        array = array.reshape(*self.image, -1).transpose(3, 2, 0, 1)
        return array.reshape(array.shape[0], -1)

    def shape(self, entry: str) -> tuple[int, ...]:
        """The shape of Flax's array."""
        array: Any = getattr(self.module, self.entries[entry][1]).get_value()  # or just its shape
        shape: tuple[int, ...] = array.shape
        return shape

    def torch_shape(self, entry: str) -> tuple[int, ...]:
        """The shape of torch's array."""
        return self.to_torch(np.empty(self.shape(entry)), entry).shape


def weighted(network: Any) -> list[Weighted]:
    """The layers with weights, in order."""
    paths = {id(module): path for path, module in nnx.iter_modules(network)}
    rows = summarize(network)  # rows[i] is the input of layer i
    layers = []
    for i, (name, apply) in enumerate(network.layers()):
        if id(apply) in paths and nnx.state(apply, nnx.Param):
            image = rows[i - 1].shape if rows[i].name == FLATTEN.name else ()
            layers.append(Weighted(str(i), name, paths[id(apply)], apply, image))
    return layers


class Match(NamedTuple):
    """A layer, and the prefix of its torch names, before "weight" and the others."""

    prefix: str
    layer: Weighted


def matched(
    arrays: Mapping[str, Any],
    network: Any,
    names: Sequence[str] | None,
    state_dict: Mapping[str, Any],
) -> list[Match]:
    """The network's layers with their names in torch; each array belongs to one layer.

    Args:
      arrays: the state_dict's arrays, by their unwrapped names.
      network: the `CNN` or `MLP`.
      names: torch's names of the layers, in the network's order, if the user passes them.
      state_dict: the user's argument; a module's own state_dict keeps the order of definition.

    Raises:
      InputError: an entry is missing, superfluous or misshapen, or the order is ambiguous.
    """
    layers = weighted(network)
    left = dict(arrays)
    matches = [
        Match(prefix, layer)
        for prefix, layer in zip(_prefixes(left, layers, names, state_dict), layers)
    ]
    for prefix, layer in matches:
        for entry in layer.entries:
            key = f"{prefix}{entry}"
            if key not in left:
                raise InputError(f"state_dict: {key!r} is missing; {layer.name} needs it")
            needed = layer.torch_shape(entry)
            if (shape := left.pop(key).shape) != needed:
                raise InputError(
                    f"state_dict: {key!r} has shape {shape}; {layer.name} needs {needed}"
                )
        if layer.counted:
            left.pop(f"{prefix}{COUNTER}", None)
    if left:
        raise InputError(f"state_dict: {listed(left)} {too_many(left)}")
    return matches


def check_count(names: Sequence[str], layers: Sequence[Weighted]) -> None:
    """Raises InputError unless each layer has a name."""
    if len(names) != len(layers):
        needing = ", ".join(layer.name for layer in layers)
        raise InputError(f"names: {len(names)} for {len(layers)} layers with weights: {needing}")


def _prefixes(
    arrays: Mapping[str, Any],
    layers: Sequence[Weighted],
    names: Sequence[str] | None,
    state_dict: Mapping[str, Any],
) -> list[str]:
    """For each layer in turn, the prefix before "weight" and the others, dot included."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, array in arrays.items():
        prefix, entry = name[: name.rfind(".") + 1], name[name.rfind(".") + 1 :]
        shapes.setdefault(prefix, {})
        if entry != COUNTER:
            shapes[prefix][entry] = array.shape
    prefixes = list(shapes)
    if names is not None:
        check_count(names, layers)
        return in_given_order(prefixes, names)
    needed = [{entry: layer.torch_shape(entry) for entry in layer.entries} for layer in layers]
    if ordered := in_order(shapes, needed, state_dict):
        return ordered
    # The layers do not fit; in this order the error will name the wrong entry.
    if len(prefixes) == len(layers):
        return by_number(prefixes) or prefixes
    places = {f"{layer.position}.": layer for layer in layers}
    lacking = [place for place in places if place not in prefixes]
    extra = [name for name in arrays if name[: name.rfind(".") + 1] not in places]
    if lacking and not extra:
        names = [place + entry for place in lacking for entry in places[place].entries]
        needing = ", ".join(places[place].name for place in lacking)
        raise InputError(f"state_dict: {listed(names)} are missing; the network has {needing}")
    if extra and not lacking:
        raise InputError(f"state_dict: {listed(extra)} {too_many(extra)}")
    needing = ", ".join(layer.name for layer in layers)
    raise InputError(
        f"state_dict: has {len(prefixes)} layers with weights "
        f"({', '.join(p[:-1] for p in prefixes)}), "
        f"the network has {len(layers)} ({needing})"
    )


def listed(names: Any) -> str:
    """Names as an error message lists them."""
    return ", ".join(repr(name) for name in names)


def too_many(names: Any) -> str:
    """The end of a message that begins with `listed(names)`."""
    return "has no layer here" if len(names) == 1 else "have no layer here"
