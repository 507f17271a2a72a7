"""Reads the settings of `train`'s network from the shapes in a torch state_dict.

Shapes reveal the kind of network, its widths, batch normalization, and a global average in place of
the first dense layer. They do not reveal the activation, dropout, or how the network downsamples:
by max pooling, average pooling or a stride.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from jaxopt_notes.errors import InputError
from jaxopt_notes.models.torch_names import by_number, opened, without_wrappers


def settings_of(
    weights: Mapping[str, Any], names: Sequence[str] | None, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """The network's settings, by name; settings that the user asks for stay as they are.

    Args:
      weights: the state_dict.
      names: the layers' names in the network's order, if the user gives them.
      asked: the settings that the user asks for.

    Raises:
      InputError: the dense layers form no chain.
    """
    entries = without_wrappers(opened(weights))
    kernels = {
        name.removesuffix(".weight"): tuple(x.shape)
        for name, x in entries.items()
        if name.endswith("weight") and len(getattr(x, "shape", ())) in (2, 4)
    }
    dense = {name: shape for name, shape in kernels.items() if len(shape) == 2}
    seen: dict[str, Any] = {"model": "mlp" if len(dense) == len(kernels) else "cnn"}
    seen |= {"norm": "batch"} if any(name.endswith("running_mean") for name in entries) else {}
    if asked.get("model", seen["model"]) == "cnn":
        seen |= {"pooling": "gap"} if len(dense) == 1 else {}
    elif "widths" not in asked and len(dense) > 1:
        seen["widths"] = _widths(dense, names)
    return {**seen, **asked}


def _widths(dense: Mapping[str, tuple[int, ...]], names: Sequence[str] | None) -> tuple[int, ...]:
    """The width of each hidden layer; each layer's outputs are the next layer's inputs."""
    prefixes = [f"{name}." for name in dense]
    orders = [list(dense), [p[:-1] for p in by_number(prefixes) or ()]]
    if names is not None:
        orders = [[name for name in names if name in dense]]
    for order in orders:
        shapes = [dense[name] for name in order]
        chained = all(b[1] == a[0] for a, b in itertools.pairwise(shapes))
        if len(shapes) == len(dense) and chained:
            return tuple(out for out, _ in shapes[:-1])
    shown = ", ".join(f"{name} {out}×{into}" for name, (out, into) in dense.items())
    raise InputError(
        f"the order of the dense layers is not certain ({shown}): pass --names, a JSON list of all "
        "layers with weights in the network's order"
    )
