"""Weights from and to torch, for the same network there: `nn.Sequential` of the notes' layers.

    layer           torch                           here
    convolution     weight (out, in, 3, 3)          kernel (3, 3, in, out)
    dense           weight (out, in)                kernel (in, out)
    batch norm      weight, running_mean, _var      scale, mean, var
    all of them     bias                            bias

The trap is the first dense layer after a flattened image: torch flattens (channels, rows, columns),
we flatten (rows, columns, channels), so its inputs come in another order. Of a single channel, or
after a global average, the two orders are one.

torch itself is not needed: entries are arrays, or tensors that can be turned into such.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxopt_notes.errors import InputError
from jaxopt_notes.models.layer_list import FLATTEN
from jaxopt_notes.models.summary import summarize
from jaxopt_notes.models.torch_names import (
    by_number,
    in_given_order,
    in_order,
    opened,
    without_wrappers,
)

# A layer's entries there: the collection they are in here (parameters or statistics), and the name
_PARAMS, _STATS = 0, 1
_WEIGHTS = {"weight": (_PARAMS, "kernel"), "bias": (_PARAMS, "bias")}
_NORM = {
    "weight": (_PARAMS, "scale"),
    "bias": (_PARAMS, "bias"),
    "running_mean": (_STATS, "mean"),
    "running_var": (_STATS, "var"),
}
_COUNTER = "num_batches_tracked"  # of use to torch's cumulative averages only


class _Weighted(NamedTuple):
    """A layer with weights: where it is in a plain `nn.Sequential`, and in our trees."""

    position: str
    name: str
    path: tuple[Any, ...]
    module: Any
    image: tuple[int, ...]  # (rows, columns, channels) if what comes in was just flattened

    @property
    def entries(self) -> dict[str, tuple[int, str]]:
        return _NORM if isinstance(self.module, nnx.BatchNorm) else _WEIGHTS

    def ours(self, array: np.ndarray, entry: str) -> np.ndarray:
        """torch's array in our layout."""
        if entry != "weight" or array.ndim == 1:
            return array
        if array.ndim == 4:
            return array.transpose(2, 3, 1, 0)
        if not self.image:
            return array.T
        rows, columns, channels = self.image
        array = array.reshape(-1, channels, rows, columns)
        return array.transpose(2, 3, 1, 0).reshape(rows * columns * channels, -1)

    def theirs(self, array: np.ndarray, entry: str) -> np.ndarray:
        """Our array in torch's layout."""
        if entry != "weight" or array.ndim == 1:
            return array
        if array.ndim == 4:
            return array.transpose(3, 2, 0, 1)
        if not self.image:
            return array.T
        array = array.reshape(*self.image, -1).transpose(3, 2, 0, 1)
        return array.reshape(array.shape[0], -1)

    def shape(self, entry: str) -> tuple[int, ...]:
        """Of our array."""
        array: jax.Array = getattr(self.module, self.entries[entry][1])[...]
        return array.shape

    def torch_shape(self, entry: str) -> tuple[int, ...]:
        return self.theirs(np.empty(self.shape(entry)), entry).shape


def from_torch(
    state_dict: Mapping[str, Any], network: Any, names: Sequence[str] | None = None
) -> tuple[Any, Any]:
    """A torch network's weights as ours.

    Layers are matched by their shapes, in whatever order the entries are. Among layers of one shape
    the numbers in their names count, or the order in which the module's `__init__` defines them
    (its own `state_dict()` knows it), which must be that of the forward pass. What wrappers put
    into names (`module.`, `_orig_mod.`, `_fsdp_wrapped_module.`) is left out.

    Trained on, batch normalisation keeps torch's running variance only if the network was made with
    `unbiased_running_variance=True`.

    Args:
      state_dict: names to tensors or arrays, as `module.state_dict()` gives them, or a training
        checkpoint that holds one such dictionary.
      network: the `CNN` or `MLP` that takes them; it is left as it is.
      names: what torch calls the layers with weights, in the network's order, such as
        ["conv1", "fc1"]; needed only where shapes and numbers do not tell.

    Returns:
      (params, batch_stats), as in `pure(network)`: nested dicts of arrays with torch's dtypes (of
      64 bits only where JAX allows them; bfloat16 becomes float32).

    Raises:
      InputError: an entry is missing, one too many, or misshapen; the message names it. Layers of
        one shape could be either way round, and `names` does not say.

    >>> from jaxopt_notes.models import MLP, pure
    >>> network = MLP(nnx.Rngs(0), image_shape=(2, 2, 1), classes=3, widths=())
    >>> state_dict = {"1.weight": np.ones((3, 4), np.float32), "1.bias": np.zeros(3, np.float32)}
    >>> params, batch_stats = from_torch(state_dict, network)
    >>> print(pure(network).apply(params, batch_stats, jnp.ones((1, 2, 2, 1)))[0])
    [[4. 4. 4.]]
    """
    layers = _weighted(network)
    state_dict = opened(state_dict)
    given = {name: _array(name, value) for name, value in without_wrappers(state_dict).items()}
    trees: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
    for prefix, layer in zip(_prefixes(given, layers, names, state_dict), layers):
        for entry, (collection, name) in layer.entries.items():
            key = f"{prefix}{entry}"
            if key not in given:
                raise InputError(f"state_dict: {key!r} is missing; {layer.name} needs it")
            array = given.pop(key)
            needed = layer.torch_shape(entry)
            if array.shape != needed:
                raise InputError(
                    f"state_dict: {key!r} has shape {array.shape}; {layer.name} needs {needed}"
                )
            _put(trees[collection], (*layer.path, name), jnp.asarray(layer.ours(array, entry)))
        if layer.entries is _NORM:
            given.pop(f"{prefix}{_COUNTER}", None)
    if given:
        raise InputError(f"state_dict: {_listed(given)} {_too_many(given)}")
    return trees


def to_torch(
    params: Any, batch_stats: Any, network: Any, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Our weights as a torch network's `state_dict`, of NumPy arrays.

    Args:
      params: nested dicts of arrays, as in `pure(network)`.
      batch_stats: likewise; empty without batch normalisation.
      network: the `CNN` or `MLP` that they belong to.
      names: what torch calls the layers with weights, in order, such as ["conv1", "fc1"]; by
        default their places in `nn.Sequential(*layers)`, with the layers of `--summary`.

    Returns:
      What `module.load_state_dict({k: torch.tensor(v) for k, v in ….items()})` takes.

    Raises:
      InputError: an array is missing, one too many, or misshapen, or the names are too few or many.

    >>> from jaxopt_notes.models import MLP, pure
    >>> model = pure(network := MLP(nnx.Rngs(0), widths=(16,), norm="batch"))
    >>> for name, array in to_torch(model.params, model.batch_stats, network).items():
    ...     print(name, array.shape)
    1.weight (16, 784)
    1.bias (16,)
    2.weight (16,)
    2.bias (16,)
    2.running_mean (16,)
    2.running_var (16,)
    2.num_batches_tracked ()
    4.weight (10, 16)
    4.bias (10,)
    """
    layers = _weighted(network)
    names = [layer.position for layer in layers] if names is None else names
    _check_count(names, layers)
    given = [_flat(params), _flat(batch_stats)]
    state_dict = {}
    for name, layer in zip(names, layers):
        for entry, (collection, leaf) in layer.entries.items():
            path = (*layer.path, leaf)
            where = f"{('params', 'batch_stats')[collection]}: {'.'.join(map(str, path))!r}"
            if path not in given[collection]:
                raise InputError(f"{where} is missing; {layer.name} needs it")
            array = np.asarray(given[collection].pop(path))
            if array.shape != layer.shape(entry):
                raise InputError(
                    f"{where} has shape {array.shape}; {layer.name} needs {layer.shape(entry)}"
                )
            state_dict[f"{name}.{entry}"] = np.ascontiguousarray(layer.theirs(array, entry))
        if layer.entries is _NORM:
            state_dict[f"{name}.{_COUNTER}"] = np.array(0)
    for tree, left in zip(("params", "batch_stats"), given):
        if left:
            left_over = [".".join(map(str, path)) for path in left]
            raise InputError(f"{tree}: {_listed(left_over)} {_too_many(left_over)}")
    return state_dict


def _weighted(network: Any) -> list[_Weighted]:
    """The layers with weights, in order."""
    paths = {id(module): path for path, module in nnx.iter_modules(network)}
    rows = summarize(network)  # rows[i] goes into layer i
    found = []
    for i, (name, apply) in enumerate(network.layers()):
        if id(apply) in paths and nnx.state(apply, nnx.Param):
            image = rows[i - 1].shape if rows[i].name == FLATTEN.name else ()
            found.append(_Weighted(str(i), name, paths[id(apply)], apply, image))
    return found


def _check_count(names: Sequence[str], layers: Sequence[_Weighted]) -> None:
    if len(names) != len(layers):
        needing = ", ".join(layer.name for layer in layers)
        raise InputError(f"names: {len(names)} for {len(layers)} layers with weights: {needing}")


def _prefixes(
    given: Mapping[str, Any],
    layers: Sequence[_Weighted],
    names: Sequence[str] | None,
    state_dict: Mapping[str, Any],
) -> list[str]:
    """What stands in front of "weight" and the others for each layer in turn, the dot included."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, array in given.items():
        prefix, entry = name[: name.rfind(".") + 1], name[name.rfind(".") + 1 :]
        shapes.setdefault(prefix, {})
        if entry != _COUNTER:
            shapes[prefix][entry] = array.shape
    found = list(shapes)
    if names is not None:
        _check_count(names, layers)
        return in_given_order(found, names)
    needed = [{entry: layer.torch_shape(entry) for entry in layer.entries} for layer in layers]
    if ordered := in_order(shapes, needed, state_dict):
        return ordered
    # It does not fit, and in this order the entry that is wrong will be named.
    if len(found) == len(layers):
        return by_number(found) or found
    places = {f"{layer.position}.": layer for layer in layers}
    lacking = [place for place in places if place not in found]
    extra = [name for name in given if name[: name.rfind(".") + 1] not in places]
    if lacking and not extra:
        names = [place + entry for place in lacking for entry in places[place].entries]
        needing = ", ".join(places[place].name for place in lacking)
        raise InputError(f"state_dict: {_listed(names)} are missing; the network has {needing}")
    if extra and not lacking:
        raise InputError(f"state_dict: {_listed(extra)} {_too_many(extra)}")
    needing = ", ".join(layer.name for layer in layers)
    raise InputError(
        f"state_dict: has {len(found)} layers with weights ({', '.join(p[:-1] for p in found)}), "
        f"the network has {len(layers)} ({needing})"
    )


def _array(name: str, value: Any) -> np.ndarray:
    if hasattr(value, "full_tensor"):  # torch's DTensor, which is spread over processes
        value = value.full_tensor()
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if "bfloat16" in str(value.dtype):  # NumPy has no such type
            value = value.float()
        value = value.numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise InputError(f"state_dict: {name!r} is a {type(value).__name__}, not an array")
    return array


def _put(tree: dict[Any, Any], path: Sequence[Any], leaf: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = leaf


def _flat(tree: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    if not isinstance(tree, Mapping):
        return {path: tree}
    return {k: v for key in tree for k, v in _flat(tree[key], (*path, key)).items()}


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names)


def _too_many(names: Any) -> str:
    return "has no layer here" if len(names) == 1 else "have no layer here"
