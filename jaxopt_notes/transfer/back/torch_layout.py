"""Torch's parameters and their places in JAX's tree: names, order, shapes, param groups."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_notes.conventions.arrangement import Arrangement, inverse, own_names
from jaxopt_notes.conventions.torch_parameters import Names, pairs_and_names
from jaxopt_notes.errors import InputError

Groups = Sequence[Sequence[Hashable]]  # the names in each of torch's param groups
Back = Callable[[Any], dict[Hashable, np.ndarray]]  # from a tree like `params` to {name: array}


class Layout(NamedTuple):
    """Torch's parameters.

    Attributes:
      names: every parameter's name, or number, in torch's order.
      back: the function from JAX's tree to {name: array}.
    """

    names: list[Hashable]
    back: Back


def layout(params: Any, names: Names, groups: Groups | None, arrange: Arrangement | None) -> Layout:
    """Torch's parameters, from the caller's arguments.

    Raises:
      InputError: the order or the shapes of torch's parameters are not known; a name is missing or
        occurs twice; the arrangement cannot be inverted.
    """
    named = own_names(params) if arrange is None else arrange
    pairs, ordered = _pairs(names, groups, named)
    if arrange is None and isinstance(params, (list, tuple)) and len(params) == len(ordered):
        named = type(params)(ordered)  # in torch's order, whatever their names in torch
    shapes = {name: None if p is None else tuple(p.shape) for name, p in pairs}
    if len(shapes) < len(ordered):
        raise InputError(f"names has {len(ordered)} entries, and only {len(shapes)} different ones")
    if callable(named) and None in shapes.values():
        raise InputError(
            "`arrange` is a function, so the shapes in torch must be known: pass names=module, or "
            "{name: array} in torch's order"
        )
    return Layout(ordered, inverse(named, shapes, params))


def _pairs(
    names: Names, groups: Groups | None, named: Arrangement
) -> tuple[Sequence[tuple[Hashable, Any]], list[Hashable]]:
    """The (name, parameter or None) pairs, and the names, in torch's order."""
    if names is not None:
        pairs, ordered = pairs_and_names(names)
        return pairs or [(name, None) for name in ordered], ordered
    own = [] if callable(named) else jax.tree.leaves(named)
    if groups is not None:
        # These names are in order. A parameter in no group has no index in torch's optimizer.
        inside = [name for group in groups for name in group]
        own = [*inside, *(name for name in own if name not in inside)]
    elif all(isinstance(name, int) for name in own):
        own = sorted(own)
    else:
        own = []
    if not own:
        raise InputError(
            "names is missing: torch keeps its state in the order of its parameters; pass "
            "names=module, or the list of their names in that order"
        )
    return [(name, None) for name in own], own


def grouped(
    names: Sequence[Hashable], groups: Groups | None, settings: Mapping[Hashable, Any]
) -> list[list[Hashable]]:
    """The names in each param group: the caller's groups, or one group for each setting.

    Args:
      names: all parameters.
      groups: the caller's groups.
      settings: the settings of each updated parameter. Other parameters are left out, unless the
        caller's groups have them.

    Raises:
      InputError: a caller's group has parameters of different settings, or none that is updated; or
        an updated parameter is in no group, or in two.
    """
    stepped = [name for name in names if name in settings]
    if groups is None:
        firsts: list[Any] = []
        for name in stepped:
            if settings[name] not in firsts:
                firsts.append(settings[name])
        return [[name for name in stepped if settings[name] == first] for first in firsts]
    inside = Counter(name for group in groups for name in group)
    for name in [*inside, *stepped]:
        if name not in names or inside[name] != 1:
            what = "is not a parameter" if name not in names else f"is in {inside[name]} groups"
            raise InputError(f"groups: {name!r} {what}; put each parameter into one group")
    for i, group in enumerate(groups):
        own = [name for name in group if name in settings]
        if not own:
            raise InputError(
                f"groups: the optimizer steps no parameter of group {i}, so this group has no "
                "settings; leave it out"
            )
        for name in own:
            if settings[name] != settings[own[0]]:
                raise InputError(
                    f"groups: {own[0]!r} and {name!r} are in one group, but the optimizer steps "
                    "them with different settings; put them into different groups"
                )
    return [list(group) for group in groups]
