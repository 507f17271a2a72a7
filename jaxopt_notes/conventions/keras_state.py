"""From a Keras optimizer's state to an optax state, to move a run from Keras to JAX in
mid-training.

Keras                                   here
momentum            of SGD              trace
                    of RMSprop          trace, with the opposite sign
                    of Adam             mu
average_gradient                        mu
velocity            of RMSprop, Adam    nu
velocity_hat                            nu_max
accumulator                             sum_of_squares
iteration                               count
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import optax

from jaxopt_notes.conventions.accumulators import filled, fitted
from jaxopt_notes.conventions.arrangement import Arrangement, arrange_by, own_names
from jaxopt_notes.conventions.keras_translation import Settings, settings_of, translate_keras
from jaxopt_notes.conventions.keras_variables import layout, names_of, saved
from jaxopt_notes.errors import InputError


def translate_keras_state(
    source: Any,
    params: optax.Params,
    variables: Any = None,
    *,
    lr: Any = None,
    arrange: Arrangement | None = None,
    names: Any = None,
    steps: int | None = None,
) -> Any:
    """The state of `translate(source, …)` after the steps that Keras has taken.

    Arguments, result and errors are those of `translate_state`.
    """
    settings = settings_of(source, lr)
    arrays = saved(_variables(source, variables))
    iterations, rate, accumulators = _heads(arrays, settings)
    if steps not in (None, iterations):
        raise InputError(f"steps={steps}, but the Keras optimizer counts {iterations}")
    if rate is not None and lr is None:
        _check_rate(settings.arguments["learning_rate"], rate)
    named = names_of(source, names) or list(range(_count(accumulators, settings)))
    arrange = own_names(params, named) if arrange is None else arrange
    slots = layout(settings.kind, settings.arguments, len(named))
    if len(slots) != len(accumulators):
        raise InputError(
            f"Keras' {settings.kind} with these settings keeps {len(slots)} accumulators for "
            f"{len(named)} variables; this state has {len(accumulators)}"
        )
    values: dict[str, dict[Hashable, np.ndarray]] = {}
    for (slot, i), array in zip(slots, accumulators):
        values.setdefault(slot.field, {})[named[i]] = slot.sign * array
    fields = {field: fitted(field, arrange_by(arrange, of), params) for field, of in values.items()}
    empty = translate_keras(source, lr, arrange, names).init(params)
    return filled(empty, fields, lambda node: iterations)


def _variables(source: Any, variables: Any) -> Any:
    live = not isinstance(source, Mapping)
    if live and variables is not None:
        raise InputError("variables go with a config; the Keras optimizer has its own")
    if live and not source.built:
        raise InputError(
            "the Keras optimizer is not built: call optimizer.build(model.trainable_variables)"
        )
    if not live and variables is None:
        raise InputError(
            "a Keras config has no state: pass the optimizer, or variables= with what it saved, "
            "such as file['optimizer/vars'] of a model.weights.h5"
        )
    return source.variables if live else variables


def _heads(
    arrays: list[np.ndarray], settings: Settings
) -> tuple[int, np.ndarray | None, list[np.ndarray]]:
    """The step count, the learning rate if Keras keeps it in a variable, and the accumulators."""
    heads = 1 + settings.rate_is_variable
    if len(arrays) < heads or any(x.shape for x in arrays[:heads]) or arrays[0].dtype.kind != "i":
        shapes = ", ".join(f"{x.dtype}{list(x.shape)}" for x in arrays[: heads + 1])
        expected = "iteration and learning rate" if heads == 2 else "iteration"
        raise InputError(f"variables begins with {shapes or 'nothing'}, not with the {expected}")
    return int(arrays[0]), arrays[1] if heads == 2 else None, arrays[heads:]


def _count(accumulators: list[np.ndarray], settings: Settings) -> int:
    each = len(layout(settings.kind, settings.arguments, 1))
    return len(accumulators) // each if each else 0


def _check_rate(config: float, variable: np.ndarray) -> None:
    if np.asarray(config, variable.dtype) != variable:
        raise InputError(
            f"the config's learning_rate is {config!r}, the saved variable's {float(variable)!r}: "
            "pass lr="
        )
