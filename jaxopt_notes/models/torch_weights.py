"""Weights from and to torch's version of a network: an `nn.Sequential` of the notes' layers.

`torch_layers.py` has the table of torch's and Flax's arrays. torch is not needed: entries are
arrays, or tensors that can be converted to arrays.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxopt_notes.errors import InputError
from jaxopt_notes.models.torch_layers import (
    COUNTER,
    PARAMS,
    STATS,
    Match,
    check_count,
    listed,
    matched,
    too_many,
    weighted,
)
from jaxopt_notes.models.torch_names import opened, without_wrappers


def torch_arrangement(
    state_dict: Mapping[str, Any], network: Any, names: Sequence[str] | None = None
) -> Callable[[Mapping[str, Any]], Any]:
    """A function that arranges a torch network's parameters as the Flax network's.

    `from_torch` places the weights with it. Pass it as `arrange=` to `conventions.translate` and
    `translate_state` to place the torch optimizer's state in the same way.

    Args:
      state_dict: as for `from_torch`; only names and shapes matter.
      network: the `CNN` or `MLP`; it is left as it is.
      names: as for `from_torch`.

    Returns:
      A function from {torch's name: array} to the tree of `pure(network).params`. It only moves
      elements, so the arrays may be NumPy's or JAX's and have any dtype. It ignores batch
      normalization's statistics.

    Raises:
      InputError: as in `from_torch`; the returned function raises it for a missing or unknown
        parameter.

    >>> from flax import nnx
    >>> from jaxopt_notes.models import MLP
    >>> network = MLP(nnx.Rngs(0), image_shape=(2, 1, 2), classes=1, widths=())
    >>> state_dict = {"1.weight": np.array([[0, 1, 2, 3]]), "1.bias": np.array([4])}
    >>> arrange = torch_arrangement(state_dict, network)
    >>> print(arrange(state_dict)["logits"]["kernel"].T)  # torch flattens channels first
    [[0 2 1 3]]
    """
    matches = matched(_arrays(state_dict), network, names, state_dict)
    return partial(_arranged, matches, PARAMS)


def from_torch(
    state_dict: Mapping[str, Any], network: Any, names: Sequence[str] | None = None
) -> tuple[Any, Any]:
    """A torch network's weights as Flax's.

    Layers are matched by their shapes, whatever the order of the entries. Layers of equal shape are
    ordered by the numbers in their names, or by the order in which the module's `__init__` defines
    them, which its own `state_dict()` keeps. That order must be the order of the forward pass. Name
    parts that wrappers add (`module.`, `_orig_mod.`, `_fsdp_wrapped_module.`) are ignored.

    In further training, batch normalisation keeps torch's running variance only if the network was
    made with `unbiased_running_variance=True`.

    Args:
      state_dict: names to tensors or arrays, as `module.state_dict()` gives them, or a training
        checkpoint that holds one such dictionary.
      network: the `CNN` or `MLP` that takes them; it is left as it is.
      names: torch's names of the layers with weights, in the network's order, such as ["conv1",
        "fc1"]; needed only if shapes and numbers do not decide.

    Returns:
      (params, batch_stats), as in `pure(network)`: nested dicts of arrays with torch's dtypes (64
      bits only where JAX allows them; bfloat16 becomes float32).

    Raises:
      InputError: an entry is missing, superfluous or misshapen; the message names it. Or the order
        of layers of equal shape is ambiguous, and `names` is missing.

    >>> from flax import nnx
    >>> from jaxopt_notes.models import MLP, pure
    >>> network = MLP(nnx.Rngs(0), image_shape=(2, 2, 1), classes=3, widths=())
    >>> state_dict = {"1.weight": np.ones((3, 4), np.float32), "1.bias": np.zeros(3, np.float32)}
    >>> params, batch_stats = from_torch(state_dict, network)
    >>> print(pure(network).apply(params, batch_stats, np.ones((1, 2, 2, 1), np.float32))[0])
    [[4. 4. 4.]]
    """
    arrays = _arrays(state_dict)
    matches = matched(arrays, network, names, state_dict)
    params, batch_stats = (_arranged(matches, kind, arrays) for kind in (PARAMS, STATS))
    # Copies, because `device_put` may share memory that torch's next step overwrites.
    copied: tuple[Any, Any] = jax.device_put(jax.tree.map(np.array, (params, batch_stats)))
    return copied


def to_torch(
    params: Any, batch_stats: Any, network: Any, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Flax's weights as a torch network's `state_dict`, of NumPy arrays.

    Args:
      params: nested dicts of arrays, as in `pure(network)`.
      batch_stats: likewise; empty without batch normalisation.
      network: the `CNN` or `MLP` that they belong to.
      names: torch's names of the layers with weights, in order, such as ["conv1", "fc1"]; by
        default their places in `nn.Sequential(*layers)`, with the layers of `--summary`.

    Returns:
      A dict for `module.load_state_dict({k: torch.tensor(v) for k, v in ….items()})`.

    Raises:
      InputError: an array is missing, superfluous or misshapen, or the number of names is wrong.

    >>> from flax import nnx
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
    layers = weighted(network)
    names = [layer.position for layer in layers] if names is None else names
    check_count(names, layers)
    trees = [_flat(params), _flat(batch_stats)]
    state_dict = {}
    for name, layer in zip(names, layers):
        for entry, (collection, leaf) in layer.entries.items():
            path = (*layer.path, leaf)
            where = f"{('params', 'batch_stats')[collection]}: {'.'.join(map(str, path))!r}"
            if path not in trees[collection]:
                raise InputError(f"{where} is missing; {layer.name} needs it")
            array = np.asarray(trees[collection].pop(path))
            if array.shape != layer.shape(entry):
                raise InputError(
                    f"{where} has shape {array.shape}; {layer.name} needs {layer.shape(entry)}"
                )
            state_dict[f"{name}.{entry}"] = np.ascontiguousarray(layer.to_torch(array, entry))
        if layer.counted:
            state_dict[f"{name}.{COUNTER}"] = np.array(0)
    for tree, left in zip(("params", "batch_stats"), trees):
        if left:
            left_over = [".".join(map(str, path)) for path in left]
            raise InputError(f"{tree}: {listed(left_over)} {too_many(left_over)}")
    return state_dict


def _arrays(state_dict: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The entries as arrays, by their unwrapped names."""
    return {name: _array(name, x) for name, x in without_wrappers(opened(state_dict)).items()}


def _arranged(matches: Iterable[Match], kind: int, values: Mapping[str, Any]) -> dict[Any, Any]:
    """The tree of one collection, from values by torch's names."""
    left = without_wrappers(values)
    tree: dict[Any, Any] = {}
    for prefix, layer in matches:
        for entry, (collection, name) in layer.entries.items():
            key = f"{prefix}{entry}"
            if collection == kind:
                if key not in left:
                    raise InputError(f"arrange: {key!r} is missing; {layer.name} needs it")
                _put(tree, (*layer.path, name), layer.to_flax(left[key], entry))
            left.pop(key, None)
        if layer.counted:
            left.pop(f"{prefix}{COUNTER}", None)
    if left:
        raise InputError(f"arrange: {listed(left)} {too_many(left)}")
    return tree


def _array(name: str, value: Any) -> np.ndarray:
    if hasattr(value, "full_tensor"):  # torch's DTensor, which is sharded over processes
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
