"""The variables that a Keras optimizer updates, and the variables that hold its state.

A Keras optimizer keeps and saves its state's variables in this order: the number of steps taken;
the learning rate, unless a schedule gives it; then the accumulators.

SGD        momentum of each parameter
Adagrad    accumulator of each
RMSprop    velocity of each; momentum of each; average_gradient of each
Adam       momentum and velocity of the first parameter, of the second, …; velocity_hat of each
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxopt_notes.errors import InputError


class Accumulator(NamedTuple):
    """An array that a Keras optimizer keeps for each parameter.

    Attributes:
      field: its name in the state here.
      sign: 1; −1 if Keras has the opposite sign.
    """

    field: str
    sign: int = 1


def layout(kind: str, arguments: Mapping[str, Any], count: int) -> list[tuple[Accumulator, int]]:
    """The accumulators in Keras' order, each with its parameter's index.

    Args:
      kind: the optimizer's class, "Adam" for AdamW too.
      arguments: its settings.
      count: how many parameters it steps.
    """
    momentum = bool(arguments.get("momentum"))
    blocks: list[list[Accumulator]]
    if kind == "SGD":
        blocks = [[Accumulator("trace")]] if momentum else []
    elif kind == "Adagrad":
        blocks = [[Accumulator("sum_of_squares")]]
    elif kind == "RMSprop":  # optax adds the velocity, Keras subtracts it
        blocks = [[Accumulator("nu")]]
        blocks += [[Accumulator("trace", -1)]] if momentum else []
        blocks += [[Accumulator("mu")]] if arguments.get("centered") else []
    else:
        blocks = [[Accumulator("mu"), Accumulator("nu")]]
        blocks += [[Accumulator("nu_max")]] if arguments.get("amsgrad") else []
    return [(slot, i) for block in blocks for i in range(count) for slot in block]


def variables_of(source: Any, names: Any = None) -> list[Any]:
    """The variables that a Keras optimizer updates; none if neither it nor `names` has them."""
    if getattr(source, "built", False):
        return list(source._trainable_variables)
    shown = list(getattr(names, "trainable_variables", names) or ())
    return shown if all(hasattr(v, "path") for v in shown) else []


def names_of(source: Any, names: Any = None) -> list[Hashable]:
    """The variables' names in the optimizer's order: their paths, or the names passed as a list."""
    variables = variables_of(source, names)
    listed = isinstance(names, (list, tuple)) and not any(hasattr(n, "path") for n in names)
    named: list[Hashable] = list(names) if listed else [v.path for v in variables]
    if variables and len(named) != len(variables):
        raise InputError(
            f"names has {len(named)} entries, the Keras optimizer {len(variables)} variables"
        )
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise InputError(f"two variables are named {twice!r}: pass names=[…], one for each")
    return named


def shapes_of(names: Sequence[Hashable], variables: Sequence[Any]) -> dict[Hashable, Any]:
    """Each variable's shape."""
    return {name: tuple(v.shape) for name, v in zip(names, variables)}


def undecayed(source: Any, variables: Sequence[Any]) -> list[bool]:
    """For each variable, whether `exclude_from_weight_decay` excludes it."""
    excluded = getattr(source, "_exclude_from_weight_decay", None) or getattr(
        source, "_exclude_from_weight_decay_pattern", None
    )
    if not excluded:
        return []
    if not variables:
        raise InputError(
            "exclude_from_weight_decay names variables that this optimizer has not seen: pass "
            "names=model, or build it on model.trainable_variables"
        )
    return [not source._use_weight_decay(v) for v in variables]


def saved(variables: Any) -> list[Any]:
    """The arrays of an optimizer's saved variables, in order.

    Args:
      variables: a sequence, or the mapping from "0", "1", … that `save_own_variables` fills.
    """
    if isinstance(variables, Mapping):
        places = [str(i) for i in range(len(variables))]
        if sorted(places) != sorted(variables):
            raise InputError(
                f"variables has {', '.join(map(str, variables))}, not 0, 1, 2, …: of a "
                "model.weights.h5 pass file['optimizer/vars']"
            )
        variables = [variables[place] for place in places]
    return [_array(v) for v in variables]


def _array(variable: Any) -> np.ndarray:
    array = np.asarray(variable.numpy() if hasattr(variable, "numpy") else variable)
    # HDF5 has no bfloat16, so Keras writes each number's two bytes.
    return array.view(jnp.bfloat16) if array.dtype == np.dtype("V2") else array
