"""Links a translated transformation to its torch optimizer, for the way back."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import jax
import optax

from jaxopt_notes.conventions.arrangement import Arrangement, Shapes
from jaxopt_notes.conventions.torch_parameters import Parameter, Part
from jaxopt_notes.errors import InputError


class Origin(NamedTuple):
    """The torch optimizer that a transformation was translated from.

    Attributes:
      groups: the names in each of its param groups.
      parts: the parts of the parameters, in the order of an `optax.partition`.
      part_of: the part of each parameter.
      frozen: the parameters that never change.
      shapes: the parameters' shapes in torch, where they are known.
      arrange: as passed to `translate`.
    """

    groups: tuple[tuple[Hashable, ...], ...]
    parts: tuple[Part, ...]
    part_of: Mapping[Hashable, int]
    frozen: frozenset[Hashable]
    shapes: Shapes
    arrange: Arrangement | None

    @property
    def names(self) -> Any:
        """The parameters in torch's order: {name: shape}, or the names if shapes are unknown."""
        ordered = [name for group in self.groups for name in group]
        shapes = {name: self.shapes[name] for name in ordered}
        if None in shapes.values():
            return ordered
        return {name: jax.ShapeDtypeStruct(shape, float) for name, shape in shapes.items()}

    def renamed(self, names: Sequence[Hashable]) -> "Origin":
        """The origin with names in place of numbers.

        Raises:
          InputError: the names are not those of the translated optimizer.
        """
        own = list(self.names)
        if set(own) <= set(names):
            return self
        if own != list(range(len(names))) or len(self.groups) > 1:
            raise InputError(
                f"the optimizer was translated with parameters named {own[0]!r}, …, not "
                f"{names[0]!r}, …; pass {{name: parameter}} with those names"
            )
        return self._replace(
            groups=(tuple(names),),
            part_of={name: self.part_of[i] for i, name in enumerate(names)},
            frozen=frozenset(names[i] for i in own if i in self.frozen),
        )

    def state_of(self, part: int, state: Any) -> Any:
        """The state of one part; it holds `optax.MaskedNode` for the parameters of other parts."""
        return state.inner_states[part].inner_state if len(self.parts) > 1 else state


class Translated(optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """A transformation with its origin, which wrappers such as `optax.chain` lose."""

    origin: Origin


def origin_of(optimizer: Any) -> Origin | None:
    """The origin of a transformation that `translate` made; None for other transformations."""
    return optimizer.origin if isinstance(optimizer, Translated) else None


def remembering(
    optimizer: optax.GradientTransformation,
    source: Any,
    parameters: Sequence[Parameter],
    parts: Sequence[Part],
    part_of: Mapping[Hashable, int],
    arrange: Arrangement | None,
) -> Translated:
    """Attaches the origin to a transformation made from a torch optimizer's parameters.

    The origin keeps no torch tensors.
    """
    groups = source["param_groups"] if isinstance(source, Mapping) else source.param_groups
    names = iter([p.name for p in parameters])
    translated = Translated(*optax.with_extra_args_support(optimizer))
    translated.origin = Origin(
        groups=tuple(tuple(islice(names, len(group["params"]))) for group in groups),
        parts=tuple(parts),
        part_of=dict(part_of),
        frozen=frozenset(p.name for p in parameters if p.frozen),
        shapes={p.name: None if p.value is None else tuple(p.value.shape) for p in parameters},
        arrange=arrange,
    )
    return translated
