"""Identifies the layers of a torch `state_dict` by their names and shapes.

The order of the keys is unreliable: safetensors and JSON sort them, and a sorted list has layer 10
before layer 2. So layers are identified by their shapes. Layers of equal shape are ordered by the
numbers in their names (0, 2, 10), or else by the module's order of definition, which its own
`state_dict()` keeps. If both are missing, or they disagree, the user has to pass the names.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from jaxopt_notes.errors import InputError

Shapes = dict[str, tuple[int, ...]]  # the shapes of a layer's entries

# Name parts that torch.compile, DataParallel, AveragedModel, FSDP and activation checkpointing add.
_WRAPPERS = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_AVERAGES = "n_averaged"  # AveragedModel's counter
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # batch norm's buffers


def opened(state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state_dict itself, or the only state_dict in a training checkpoint.

    Raises:
      InputError: the checkpoint contains no state_dict, or several.
    """

    def is_array(value: Any) -> bool:
        return hasattr(value, "shape") or hasattr(value, "detach")

    if not state_dict or any(is_array(x) and "." in key for key, x in state_dict.items()):
        return state_dict
    inner = [
        key
        for key, of in state_dict.items()
        if isinstance(of, Mapping) and of and all(map(is_array, of.values()))
    ]
    if len(inner) > 1:
        places = " or ".join(f"checkpoint[{key!r}]" for key in inner)
        raise InputError(f"state_dict: this checkpoint holds {len(inner)}: pass {places}")
    if inner:
        weights: Mapping[str, Any] = state_dict[inner[0]]
        return weights
    if not any(is_array(x) for x in state_dict.values()):
        raise InputError(
            f"state_dict: a dictionary of {', '.join(map(str, state_dict))} has no state_dict in "
            "it: pass module.state_dict()"
        )
    return state_dict


def unwrapped(name: str) -> str:
    """The name without the parts that wrappers add.

    >>> unwrapped("_orig_mod.module.layers.0._fsdp_wrapped_module.weight")
    'layers.0.weight'
    """
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def without_wrappers(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The entries by their unwrapped names."""
    entries: dict[str, Any] = {}
    for name, value in state_dict.items():
        if name == _AVERAGES:
            continue
        if ".parametrizations." in f".{name}":
            raise InputError(
                f"state_dict: {name!r} is a part of a parametrization, such as weight_norm: call "
                "torch.nn.utils.parametrize.remove_parametrizations before state_dict()"
            )
        if unwrapped(name) in entries:
            raise InputError(
                f"state_dict: without its wrappers' names it has {unwrapped(name)!r} "
                "twice: pass one network's entries"
            )
        entries[unwrapped(name)] = value
    return entries


def in_given_order(prefixes: Sequence[str], names: Sequence[str]) -> list[str]:
    """The layers' prefixes in the order of `names`, which may omit a common beginning."""
    common = _common(prefixes)
    by_name = {name: p for p in prefixes for name in (p[:-1], p[len(common) : -1])}
    ordered = []
    for name in names:
        prefix = by_name.get(name, by_name.get(unwrapped(name)))
        if prefix is None:
            layers = ", ".join(repr(p[:-1]) for p in prefixes)
            raise InputError(
                f"names: {name!r} is not a layer of the state_dict, which has {layers}"
            )
        if prefix in ordered:
            raise InputError(f"names: {name!r} is in the list twice; name each layer once")
        ordered.append(prefix)
    return ordered


def in_order(
    shapes: Mapping[str, Shapes], needed: Sequence[Shapes], state_dict: Mapping[str, Any]
) -> list[str] | None:
    """The layers' prefixes in the network's order.

    Args:
      shapes: each prefix's entries.
      needed: the shapes of the network's layers, in order.
      state_dict: the user's argument; a module's own state_dict keeps the order of definition.

    Returns:
      The prefixes, or None if the shapes do not fit the network.

    Raises:
      InputError: the order of layers of equal shape is ambiguous, or the numbers in the names
        contradict the shapes.
    """
    definition = [unwrapped(f"{name}.") for name in getattr(state_dict, "_metadata", ())]
    ordered: list[str | None] = [None] * len(needed)
    for one in needed:
        places = [i for i, other in enumerate(needed) if other == one]
        alike = [prefix for prefix, of in shapes.items() if of == one]
        if len(alike) != len(places):
            return None
        for i, prefix in zip(places, _sorted(alike, definition)):
            ordered[i] = prefix
    if len(shapes) != len(needed):
        return None
    prefixes = [p for p in ordered if p is not None]
    for a, b in combinations(prefixes, 2):
        if _before(a, b) is False:
            raise InputError(
                f"state_dict: by its shape {a[:-1]!r} would come before {b[:-1]!r} in the network: "
                "another order of layers is another network; if it is not, pass names="
            )
    return prefixes


def by_number(prefixes: Sequence[str]) -> list[str] | None:
    """The prefixes sorted by the numbers in them; None if the numbers leave the order open.

    >>> by_number(["10.", "2.", "0."])
    ['0.', '2.', '10.']
    """
    if any(_before(a, b) is None for a, b in combinations(prefixes, 2)):
        return None
    return sorted(prefixes, key=lambda p: sum(_before(q, p) is True for q in prefixes))


def _sorted(alike: Sequence[str], definition: Sequence[str]) -> list[str]:
    """Layers of equal shape, ordered by their names or by the module."""
    known = all(prefix in definition for prefix in alike)
    by_definition = sorted(alike, key=definition.index) if known else None
    ordered = by_number(alike) or by_definition
    if ordered is None or (by_definition or ordered) != ordered:
        layers = ", ".join(repr(p[:-1]) for p in alike)
        raise InputError(
            f"state_dict: {layers} have one shape, and which comes first is not certain: pass "
            "names=, the names of all layers with weights in the network's order"
        )
    return ordered


def _before(a: str, b: str) -> bool | None:
    """Whether a's number is smaller where the names first differ; None if no numbers differ."""
    for x, y in zip(*(re.findall(r"\d+|\D+", name) for name in (a, b))):
        if x != y:
            same = not (x.isdigit() and y.isdigit()) or int(x) == int(y)
            return None if same else int(x) < int(y)
    return None


def _common(prefixes: Sequence[str]) -> str:
    """The common beginning of all layers' names, such as "model."."""
    parts = [prefix.split(".")[:-2] for prefix in prefixes]
    common = []
    for column in zip(*parts):
        if len(set(column)) > 1:
            break
        common.append(column[0])
    return "".join(f"{part}." for part in common)
