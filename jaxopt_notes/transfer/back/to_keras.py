"""From an optax optimizer to a Keras optimizer that continues from its state."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from jaxopt_notes.conventions.arrangement import Arrangement, inverse, own_names
from jaxopt_notes.conventions.keras_schedules import KerasSchedule
from jaxopt_notes.conventions.keras_translation import KerasTranslated
from jaxopt_notes.conventions.keras_variables import layout, names_of, shapes_of, variables_of
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require
from jaxopt_notes.transfer.back.keras_setting import (
    KerasSetting,
    accumulators_of,
    parting,
    rate_at,
    recognized_setting,
    steps_of,
    translated_setting,
)
from jaxopt_notes.transfer.recognition.recognizing import recognize


def to_keras_optimizer(
    optimizer: Any,
    state: Any,
    params: Any,
    model: Any,
    *,
    arrange: Arrangement | None = None,
    learning_rate: Any = None,
    load_weights: bool = False,
    steps: int | None = None,
) -> Any:
    """Makes the Keras optimizer that continues from this state: `optimizer.apply(gradients)`.

    The model's trainable variables must already have the values of `params`, because Keras' steps
    start from them; `load_weights=True` copies the values. A model with other values raises an
    error.

    A transformation that `translate` made from a Keras optimizer becomes that optimizer again, with
    its schedule, its gradient clipping and its exclusions. Any other schedule becomes a Keras
    schedule that exists only in this process: it works on Keras' JAX backend, and `model.save`
    refuses it. To save the model, pass `learning_rate`, a Keras schedule with equal values.

    Args:
      optimizer: a transformation; or its factory with arguments, `partial(conventions.keras.adam,
        …)` or `(conventions.keras.adam, {…})`.
      state: its state.
      params: the parameters in JAX.
      model: a Keras model, or a list of variables. The optimizer is built on its trainable
        variables.
      arrange: where each variable belongs in `params`: a tree of the variables' paths, or a
        function from {path: value} to the tree. The default is the arrangement that `translate`
        got; without one, `params` is a flat dict of the paths, or a list in Keras' order.
      learning_rate: a Keras schedule that replaces the optimizer's.
      load_weights: copy the values of `params` into the variables.
      steps: how many steps were taken; needed only if the state does not count them. Then Keras'
        updates do not depend on the number.

    Returns:
      One of Keras' SGD, Adagrad, RMSprop, Adam and AdamW, built, with its variables assigned. If
      only some parameters have a weight decay, the others are excluded from it.

    Raises:
      InputError: Keras has no such optimizer, or cannot keep this state, these settings or this
        schedule; or the variables' values, shapes or dtypes differ from `params`.
      MissingExtraError: Keras is not installed.

    >>> import keras  # doctest: +SKIP
    >>> from jaxopt_notes import conventions
    >>> variable = keras.Variable(np.ones(2, np.float32), name="w")  # doctest: +SKIP
    >>> optimizer, params = conventions.keras.sgd(0.5), [np.ones(2, np.float32)]
    >>> state = optimizer.init(params)  # doctest: +SKIP
    >>> there = to_keras_optimizer(optimizer, state, params, [variable])  # doctest: +SKIP
    >>> there.apply([np.ones(2, np.float32)])  # doctest: +SKIP
    >>> print(variable.numpy())  # doctest: +SKIP
    [0.5 0.5]
    """
    require("to_keras_optimizer", "keras", "keras")
    variables = variables_of(None, model)
    if not variables:
        raise InputError(
            f"model {type(model).__name__}: has no trainable variables; build the model first, or "
            "pass a list of keras.Variable"
        )
    names = names_of(None, variables)
    origin = optimizer.origin if isinstance(optimizer, KerasTranslated) else None
    if arrange is None:
        chosen = origin.arrange if origin else None
        arrange = own_names(params, names) if chosen is None else chosen
    back = inverse(arrange, shapes_of(names, variables), params)
    groups = [] if origin else recognize(optimizer, state, params, "keras")
    states = [group.state for group in groups] or [state]
    taken = steps_of(states, steps)
    if origin:
        setting = translated_setting(origin)
    else:
        setting = recognized_setting(groups, params, names, back, taken)
    values = back(params)
    named = dict(zip(names, variables))
    _check_values(named, values, load_weights)
    made = _optimizer(setting, _rate(setting.rate, learning_rate, variables, taken))
    _exclude(made, setting, named)
    made.build(variables)
    _assign(made, setting, accumulators_of(states, back), names, taken)
    if load_weights:
        for name, variable in zip(names, variables):
            variable.assign(values[name])
    return made


def _check_values(
    variables: Mapping[Hashable, Any], values: Mapping[Hashable, np.ndarray], load: bool
) -> None:
    """Raises InputError if dtypes differ, or if values differ and are not loaded."""
    for name, variable in variables.items():
        value = values[name]
        if str(variable.dtype) != str(value.dtype):
            raise InputError(
                f"model: {name!r} is {variable.dtype}, but {value.dtype} in params; cast params "
                "and the state, or make the model in that dtype"
            )
        if not load and not np.array_equal(variable.numpy(), value, equal_nan=True):
            raise InputError(
                f"model: {name!r} has other values than params; pass load_weights=True to copy them"
            )


def _rate(rate: Any, chosen: Any, variables: Sequence[Any], taken: int) -> Any:
    """The learning rate in Keras' form."""
    keras = import_module("keras")
    if chosen is not None:
        k = parting(lambda steps: chosen(int(steps)), rate, taken)
        if k is not None:
            raise InputError(
                f"learning_rate is {float(chosen(k)):g} after {k} steps, but {rate_at(rate, k):g} "
                "here: pass a Keras schedule that has the values here"
            )
        return chosen
    if isinstance(rate, KerasSchedule):
        return getattr(keras.optimizers.schedules, rate.class_name)(**rate.config)
    if callable(rate):
        if keras.backend.backend() != "jax":
            raise InputError(
                f"Keras is on {keras.backend.backend()}, where a function of JAX cannot be its "
                "learning rate: pass learning_rate=, a Keras schedule with the same values"
            )
        return _schedule(keras, rate)
    floatx = keras.backend.floatx()
    wide = [v for v in variables if str(v.dtype) == "float64"]
    if wide and floatx != "float64":
        raise InputError(
            f"the variable {wide[0].path!r} is float64, but Keras would round the learning rate to "
            f"{floatx}: call keras.backend.set_floatx('float64')"
        )
    return float(rate)


def _schedule(keras: Any, rate: Callable[[Any], Any]) -> Any:
    base: Any = keras.optimizers.schedules.LearningRateSchedule

    class Steps(base):
        """A function of the steps taken."""

        def __call__(self, step: Any) -> Any:
            return rate(keras.ops.convert_to_tensor(step))

        def get_config(self) -> dict[str, Any]:
            raise NotImplementedError(
                "no file can hold this learning rate, a function: pass learning_rate=, a Keras "
                "schedule with the same values, to to_keras_optimizer"
            )

    return Steps()


def _optimizer(setting: KerasSetting, rate: Any) -> Any:
    keras = import_module("keras")
    decays = setting.kind == "Adam" and setting.arguments.get("weight_decay") is not None
    made = getattr(keras.optimizers, "AdamW" if decays else setting.kind)
    return made(learning_rate=rate, **setting.arguments, **setting.clip)


def _exclude(made: Any, setting: KerasSetting, variables: Mapping[Hashable, Any]) -> None:
    """Excludes variables from the weight decay; Keras allows this only before `build`."""
    if strangers := setting.undecayed - variables.keys():
        raise InputError(
            f"the optimizer was translated with a variable named {min(map(str, strangers))!r}, "
            f"which the model does not have; its are {', '.join(map(str, variables))}"
        )
    if setting.undecayed and setting.arguments.get("weight_decay"):
        made.exclude_from_weight_decay([variables[name] for name in setting.undecayed])


def _assign(
    made: Any,
    setting: KerasSetting,
    accumulators: Mapping[str, Mapping[Hashable, np.ndarray]],
    names: Sequence[Hashable],
    taken: int,
) -> None:
    slots = layout(setting.kind, setting.arguments, len(names))
    own = made.variables[-len(slots) :] if slots else []
    for (slot, i), variable in zip(slots, own):
        value = slot.sign * accumulators[slot.field][names[i]]
        if str(value.dtype) != str(variable.dtype):
            raise InputError(
                f"{slot.field} of {names[i]!r} is {value.dtype}, but Keras keeps it as "
                f"{variable.dtype}: cast the state, or make the model in that dtype"
            )
        variable.assign(value)
    made.iterations.assign(taken)
