"""The arrangement of a Flax module's arrays: a function from torch's names to Flax's tree."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxopt_notes.conventions.torch_state import as_array
from jaxopt_notes.errors import InputError
from jaxopt_notes.models.torch_layers import COUNTER
from jaxopt_notes.models.torch_names import opened, unwrapped, without_wrappers
from jaxopt_notes.transfer.flax.names import Entry, Flax, Place, Torch, listed, match


class Arrangement(NamedTuple):
    """The source of each leaf of a tree of Flax arrays, as `flax_arrangement` returns it."""

    structure: Any
    places: dict[str, Place]  # in the order of the leaves
    unneeded: frozenset[str]  # torch's names that are ignored if present

    def __call__(self, values: Mapping[str, Any]) -> Any:
        arrays = {
            name: as_array(value) if hasattr(value, "detach") else value
            for name, value in without_wrappers(values).items()
        }
        used = {name for place in self.places.values() for name in place.sources}
        if lacking := sorted(used - arrays.keys()):
            raise InputError(
                f"arrange: torch's {listed(lacking)} are missing there and needed here"
            )
        if spare := [name for name in arrays if name not in used | self.unneeded]:
            raise InputError(f"arrange: torch's {listed(spare)} have no counterpart here")
        leaves = [place.make(arrays) for place in self.places.values()]
        return jax.tree.unflatten(self.structure, leaves)

    def only(self, tree: Any) -> "Arrangement":
        """The arrangement of part of the tree."""
        paths = _shapes(tree)
        if unknown := [path for path in paths if path not in self.places]:
            raise InputError(f"wrt: {listed(unknown)} are neither nnx.Param nor nnx.BatchStat")
        places = {path: self.places[path] for path in paths}
        return self._replace(structure=jax.tree.structure(tree), places=places)

    def weights(self, module: Any) -> Any:
        """The tree of the module's arrays, copied because torch may overwrite its tensors later."""
        used = {name for place in self.places.values() for name in place.sources}
        arrays = without_wrappers(torch_arrays(module))
        return jax.tree.map(_copied, self({name: arrays[name] for name in used}))


def flax_arrangement(
    target: Any, source: Any, mapping: Mapping[str, Entry] | None = None
) -> Arrangement:
    """The place of each torch array in a Flax module of the same architecture.

    By default names correspond: `block.0.conv.kernel` in Flax is torch's `block.0.conv.weight`.
    `mapping` lists the exceptions:

        {"conv1": "features.0"}                          a layer, or a block of layers
        {"conv1.kernel": "features.0.weight"}            a parameter
        {"out": ("classifier.1", after_flatten(4, 4, 8))}   with the function that moves the weight
        {"qkv.kernel": lambda of: np.concatenate([of["q.weight"].T, of["k.weight"].T], 1)}

    Shapes do not show that a dense layer follows a flattened image. torch flattens channels first,
    so pass `after_flatten(rows, columns, channels)` with that layer. A function may only move
    elements. A `ConvTranspose` is recognized in an nnx module or a torch module; in params or a
    `state_dict` it is recognized only if its numbers of inputs and outputs differ.

    Args:
      target: an nnx.Module (its Params and BatchStats), an nnx.State, or Linen's variables or
        params. It is not changed.
      source: the torch module, or its `state_dict()`.
      mapping: name in Flax → name in torch, or one of the other forms above.

    Returns:
      A function from {torch's name: array} to a tree like `target`: an nnx.State for nnx, nested
      dicts for Linen. `nnx.update(model, arrange(module.state_dict()))` sets an nnx module's
      weights. For `arrange=` in `translate` and others, the target must be only the parameters:
      `nnx.state(model, nnx.Param)` or `variables["params"]`.

    Raises:
      InputError: arrays have no counterpart on the other side, or do not fit it.

    >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    >>> state_dict = {"fc.weight": np.array([[3.0, 4.0]]), "fc.bias": np.array([5.0])}
    >>> arrange = flax_arrangement(model, state_dict, {"": "fc"})
    >>> print(arrange(state_dict)["kernel"].tolist())
    [[3.0], [4.0]]
    """
    tree = arrays_of(target, (nnx.Param, nnx.BatchStat))
    here = Flax(_shapes(tree), _nnx_layers(target))
    there = _torch(source, statistics=any(path.endswith("mean") for path in here.shapes))
    places = match(here, there, mapping or {})
    unneeded = frozenset(set(there.shapes) - set(there.needed) | _tied(source))
    return Arrangement(jax.tree.structure(tree), places, unneeded)


def arrays_of(target: Any, kinds: Any) -> Any:
    """The arrays of an nnx module or state, without the nnx variables around them."""
    return nnx.as_pure(nnx.state(target, kinds) if isinstance(target, nnx.Module) else target)


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Dotted name → shape, in the order of the leaves, without the names of Linen's collections."""
    shapes = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        # Linen's boxes, such as nn.Partitioned, hold their array as an attribute.
        keys = [key for key in path if not isinstance(key, jax.tree_util.GetAttrKey)]
        parts = [jax.tree_util.keystr((key,), simple=True) for key in keys]
        if "params" in tree:
            del parts[0]
        shapes[".".join(parts)] = np.shape(leaf)
    return shapes


def _nnx_layers(target: Any) -> dict[str, Any]:
    if not isinstance(target, nnx.Module):
        return {}
    return {".".join(map(str, path)): layer for path, layer in nnx.iter_modules(target)}


def torch_arrays(source: Any) -> dict[str, Any]:
    """A torch module's parameters and buffers, each once, or a state_dict's entries."""
    if isinstance(source, Mapping):
        return without_wrappers(opened(source))
    return without_wrappers({**dict(source.named_parameters()), **dict(source.named_buffers())})


def _tied(source: Any) -> set[str]:
    """All names in a torch module's own state_dict, where a tied parameter has several."""
    return set() if isinstance(source, Mapping) else set(without_wrappers(source.state_dict()))


def _torch(source: Any, statistics: bool) -> Torch:
    """The shapes and layers of a torch module or a state_dict, with or without running averages."""
    shapes = {name: tuple(array.shape) for name, array in torch_arrays(source).items()}
    averages = [n for n in shapes if n.rpartition(".")[2] in ("running_mean", "running_var")]
    if isinstance(source, Mapping):
        needed = [n for n in shapes if n not in averages and not n.endswith(COUNTER)]
        layers = {}
    else:
        needed = [unwrapped(name) for name, _ in source.named_parameters()]
        layers = {unwrapped(name): type(of).__name__ for name, of in source.named_modules()}
    return Torch(shapes, [*needed, *averages] if statistics else needed, layers)


def _copied(array: np.ndarray) -> jax.Array:
    copied = jax.device_put(array.copy())  # without a copy, it may share the array's memory
    if copied.dtype != array.dtype:
        raise InputError(
            f"module: its weights are {array.dtype}, which JAX has only after "
            "jax.config.update('jax_enable_x64', True)"
        )
    return copied
