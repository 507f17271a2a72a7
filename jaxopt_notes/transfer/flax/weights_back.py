"""The weights and running averages of a user's Flax module, as torch's state_dict."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx

from jaxopt_notes.conventions.arrangement import inverse
from jaxopt_notes.conventions.torch_state import as_array
from jaxopt_notes.models.torch_names import unwrapped
from jaxopt_notes.transfer.flax.names import Entry
from jaxopt_notes.transfer.flax.tree import arrays_of, flax_arrangement, torch_arrays


def to_torch_weights(
    source: Any, module: Any, mapping: Mapping[str, Entry] | None = None
) -> dict[str, np.ndarray]:
    """The torch module's `state_dict()` with the values of a Flax module.

        module.load_state_dict(as_tensors(to_torch_weights(model, module, mapping)))

    The result includes batch normalisation's running averages. Buffers that Flax does not have,
    such as `num_batches_tracked`, keep the torch module's values.

    Args:
      source: an nnx.Module, or Linen's variables: `{"params": …, "batch_stats": …}`.
      module: the torch module, or its `state_dict()`; it is not changed.
      mapping: as for `flax_arrangement`.

    Raises:
      InputError: as `flax_arrangement`; or a function of the mapping cannot be inverted.

    >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    >>> model.kernel[...], model.bias[...] = np.array([[3.0], [4.0]]), np.array([5.0])
    >>> there = {"fc.weight": np.zeros((1, 2)), "fc.bias": np.zeros(1)}
    >>> to_torch_weights(model, there, {"": "fc"})["fc.weight"].tolist()
    [[3.0, 4.0]]
    """
    arrange = flax_arrangement(source, module, mapping)
    sources = {name for place in arrange.places.values() for name in place.sources}
    own = {name: x for name, x in torch_arrays(module).items() if name in sources}
    tree = arrays_of(source, (nnx.Param, nnx.BatchStat))
    values = inverse(arrange, {name: tuple(x.shape) for name, x in own.items()}, tree)(tree)
    entries = module if isinstance(module, Mapping) else module.state_dict(keep_vars=True)
    names = {id(x): name for name, x in own.items()}  # a tied parameter has several
    return {
        entry: values[name]
        if (name := names.get(id(x), unwrapped(entry))) in values
        else as_array(x)
        for entry, x in entries.items()
    }
