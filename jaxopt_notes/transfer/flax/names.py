"""Matches torch's arrays with the arrays of a Flax module, and converts the order of axes.

    Flax                                    torch
    kernel of Linear, Dense (in, out)       weight (out, in)
    kernel of Conv (…, in, out)             weight (out, in, …)
    kernel of ConvTranspose (…, in, out)    weight (in, out, …), flipped along …
      with transpose_kernel (…, out, in)    weight (in, out, …), not flipped
    scale of BatchNorm, LayerNorm, …        weight
    mean, var of BatchNorm                  running_mean, running_var
    embedding of Embed                      weight
    bias, and any other name                the same name and shape

`block.0.conv.kernel` in Flax is `block.0.conv.weight` in torch; a mapping lists names that differ.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.errors import InputError
from jaxopt_notes.models.torch_layers import after_flatten as after_flatten

Move = Callable[[Any], Any]  # from torch's array to Flax's
# A torch name; a torch name with the function that converts its weight; or a function of {torch
# name: array}.
Entry = str | tuple[str, Move] | Callable[[Mapping[str, Any]], Any]

_TORCH_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "embedding": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
_SHOWN = 8  # most names in a message


class Torch(NamedTuple):
    """The torch side.

    Attributes:
      shapes: name → shape.
      needed: the names that must have a counterpart in Flax.
      layers: name of a layer → its class; empty where only a state_dict is known.
    """

    shapes: Mapping[str, tuple[int, ...]]
    needed: Collection[str]
    layers: Mapping[str, str]


class Flax(NamedTuple):
    """The Flax side.

    Attributes:
      shapes: dotted name → shape.
      layers: name of a layer → the nnx module; empty for Linen, whose params do not show it.
    """

    shapes: Mapping[str, tuple[int, ...]]
    layers: Mapping[str, Any]


class Place(NamedTuple):
    """The source of one Flax array.

    Attributes:
      sources: torch's names.
      make: the function from {torch's name: array} to the array.
    """

    sources: tuple[str, ...]
    make: Callable[[Mapping[str, Any]], Any]


class _Source(NamedTuple):
    """One torch array, and the user's function that converts it, if any."""

    name: str
    move: Move | None


def match(here: Flax, there: Torch, mapping: Mapping[str, Entry]) -> dict[str, Place]:
    """Finds the source of each Flax array.

    Raises:
      InputError: an array has no counterpart on the other side, or does not fit it.
    """
    for key in mapping:
        if not any(_within(path, key) for path in here.shapes):
            raise InputError(
                f"mapping {key!r}: no such layer or parameter here; there are {listed(here.shapes)}"
            )
    entries = {path: _entry(path, mapping) for path in here.shapes}
    lacking = {
        path: entry.name
        for path, entry in entries.items()
        if isinstance(entry, _Source) and entry.name not in there.shapes
    }
    places = {
        path: _place(path, entry, here, there)
        for path, entry in entries.items()
        if path not in lacking
    }
    used = [name for place in places.values() for name in place.sources]
    spare = [name for name in there.needed if name not in used]
    if lacking or spare:
        raise InputError(f"mapping: {'; '.join(_unmatched(lacking, spare))}")
    plain = [entry.name for entry in entries.values() if isinstance(entry, _Source)]
    for name in plain:
        if plain.count(name) > 1:
            paths = [p for p, e in entries.items() if isinstance(e, _Source) and e.name == name]
            raise InputError(f"mapping: {listed(paths)} would all be torch's {name!r}")
    return places


def listed(names: Collection[str]) -> str:
    """The first few names, as a message shows them."""
    shown = [repr(name) for name in list(names)[:_SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _unmatched(lacking: Mapping[str, str], spare: Sequence[str]) -> Iterator[str]:
    if lacking:
        yield (
            f"{listed(lacking)} here would be {listed(list(lacking.values()))} in torch, which "
            "has no such arrays"
        )
    if spare:
        yield f"torch's {listed(spare)} have no counterpart here"
    if lacking and spare:
        layers = [name.rpartition(".")[0] for name in (next(iter(lacking)), spare[0])]
        yield f"pass mapping={{{layers[0]!r}: 'the name in torch', …}}"
    elif spare:
        yield "leave them out of the state_dict if the module here needs none of them"


def _within(path: str, key: str) -> bool:
    """Whether the key names the array or a layer or block around it; "" is the whole module."""
    return not key or f"{path}.".startswith(f"{key}.")


def _entry(path: str, mapping: Mapping[str, Entry]) -> _Source | Callable[..., Any]:
    """The mapping's entry for an array: the longest key that matches."""
    keys = sorted((key for key in mapping if _within(path, key)), key=len)
    key = keys[-1] if keys else ""
    entry = mapping[key] if keys else ""
    if path == key:
        if callable(entry):
            return entry
        return _Source(entry, None) if isinstance(entry, str) else _Source(*entry)
    if callable(entry):
        raise InputError(
            f"mapping {key!r}: a function of torch's arrays makes one parameter; name that "
            f"parameter, such as {path!r}"
        )
    name, move = (entry, None) if isinstance(entry, str) else entry
    inside = path[len(key) :].strip(".")
    layer, _, leaf = inside.rpartition(".")
    if move and layer:
        raise InputError(f"mapping {key!r}: a function moves one layer's weight; name that layer")
    leaf = _TORCH_NAMES.get(leaf, leaf)
    torch_name = ".".join(part for part in (name, layer, leaf) if part)
    return _Source(torch_name, move if leaf == "weight" else None)


def _place(path: str, entry: Any, here: Flax, there: Torch) -> Place:
    """The place, after a test that it makes an array of the right shape."""
    arrays = _Asked({name: np.broadcast_to(np.int32(0), s) for name, s in there.shapes.items()})
    if isinstance(entry, _Source):
        move = entry.move or _usual_move(path, entry.name, here, there)
        make = partial(_moved, entry.name, move)
    else:
        make = entry
    try:
        shape = np.shape(make(arrays))
    except KeyError as missing:
        raise InputError(f"mapping {path!r}: torch has no array {missing}") from None
    except ValueError as error:
        raise InputError(f"mapping {path!r}: its function fails: {error}") from None
    if shape != here.shapes[path]:
        sources = " and ".join(f"{n!r} {there.shapes[n]}" for n in arrays.asked)
        raise InputError(
            f"mapping: {path!r} has shape {here.shapes[path]} here, torch's {sources} becomes "
            f"{shape}; if the layers are the same, pass mapping={{{path!r}: ('its name in torch', "
            "function of the array)}"
        )
    return Place(tuple(arrays.asked), make)


class _Asked(dict[str, Any]):
    """A dictionary that records which names were looked up."""

    def __init__(self, of: Mapping[str, Any]) -> None:
        super().__init__(of)
        self.asked: dict[str, None] = {}

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        self.asked[name] = None
        return value


def _moved(name: str, move: Move, arrays: Mapping[str, Any]) -> Any:
    return move(arrays[name])


def _usual_move(path: str, name: str, here: Flax, there: Torch) -> Move:
    """The conversion that fits Flax's layer type."""
    layer, _, leaf = path.rpartition(".")
    shape, weight = here.shapes[path], there.shapes[name]
    if leaf != "kernel" or len(shape) != len(weight) or len(weight) < 2:
        return _unchanged
    kind = there.layers.get(name.rpartition(".")[0], "")
    if len(weight) == 2:
        # The Conv1D of Hugging Face's GPT-2 is a dense layer that keeps its weight as (in, out).
        return _unchanged if kind == "Conv1D" else _reversed_channels
    module = here.layers.get(layer)
    transposing = getattr(module, "transpose_kernel", None)  # only nnx.ConvTranspose has it
    as_is, as_conv = shape[-2:] == weight[:2], shape[-2:] == weight[1::-1]
    if kind.startswith("ConvTranspose") or transposing is not None:
        if module is not None and transposing is None:
            raise InputError(
                f"mapping: {path!r} is a {type(module).__name__} here, {kind} in torch"
            )
        if transposing is None and as_is and as_conv:
            raise InputError(
                f"mapping: {path!r}: in a ConvTranspose with as many inputs as outputs, the shape "
                f"does not tell transpose_kernel; pass mapping={{{path!r}: ({name!r}, function)}}"
            )
        return _flipped if not transposing and as_is else _reversed_channels
    return _flipped if as_is and not as_conv else _reversed_channels


def _unchanged(array: Any) -> Any:
    return array


def _reversed_channels(weight: Any) -> Any:
    """(out, in, …) as (…, in, out)."""
    return weight.transpose(*range(2, weight.ndim), 1, 0)


def _flipped(weight: Any) -> Any:
    """(in, out, …) as (…, in, out), each spatial axis reversed."""
    spatial = range(2, weight.ndim)
    backwards = (slice(None), slice(None), *(slice(None, None, -1) for _ in spatial))
    return weight[backwards].transpose(*spatial, 0, 1)
