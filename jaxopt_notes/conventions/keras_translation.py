"""From a Keras optimizer, or its config, to the equal transformation."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import optax

from jaxopt_notes.conventions import keras
from jaxopt_notes.conventions.arrangement import Arrangement, labelling
from jaxopt_notes.conventions.keras_schedules import schedule_of
from jaxopt_notes.conventions.keras_variables import (
    names_of,
    shapes_of,
    undecayed,
    variables_of,
)
from jaxopt_notes.conventions.terms import clipped_each, clipped_together, is_set, pass_over
from jaxopt_notes.errors import InputError


class Kind(NamedTuple):
    """A Keras optimizer: its function in `conventions.keras`, and how its config is recognised.

    Attributes:
      function: the function of `conventions.keras`.
      arguments: its settings except the learning rate.
      marks: a set of settings that no other Keras optimizer has.
    """

    function: Callable[..., optax.GradientTransformation]
    arguments: tuple[str, ...]
    marks: frozenset[str]


class Settings(NamedTuple):
    """The settings in a Keras optimizer's config.

    Attributes:
      kind: its class; "Adam" for AdamW too.
      arguments: the arguments of its function in `conventions.keras`.
      clip: Keras' name of its gradient clipping, and the bound; None without clipping.
      rate_is_variable: whether Keras keeps the learning rate in a variable of the optimizer.
    """

    kind: str
    arguments: dict[str, Any]
    clip: tuple[str, float] | None
    rate_is_variable: bool

    def optimizer(self, **changed: Any) -> optax.GradientTransformation:
        return KINDS[self.kind].function(**self.arguments | changed)


class KerasOrigin(NamedTuple):
    """The Keras optimizer that a transformation was translated from.

    Attributes:
      settings: what its config says.
      undecayed: the names of the variables that `exclude_from_weight_decay` excludes.
      arrange: as passed to `translate`.
    """

    settings: Settings
    undecayed: frozenset[Hashable]
    arrange: Arrangement | None


class KerasTranslated(optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """A transformation with its origin, for the way back. A wrapper around it loses the origin."""

    origin: KerasOrigin


def _kind(function: Callable[..., Any], arguments: str, marks: str) -> Kind:
    return Kind(function, tuple(arguments.split()), frozenset(marks.split()))


KINDS = {
    "SGD": _kind(keras.sgd, "momentum nesterov weight_decay", "momentum nesterov"),
    "Adagrad": _kind(
        keras.adagrad,
        "initial_accumulator_value epsilon weight_decay",
        "initial_accumulator_value epsilon",
    ),
    "RMSprop": _kind(keras.rmsprop, "rho momentum epsilon centered weight_decay", "rho centered"),
    # Keras' Adam with a weight decay is AdamW in `conventions.keras`.
    "Adam": _kind(
        keras.adam, "beta_1 beta_2 epsilon amsgrad weight_decay", "beta_1 beta_2 amsgrad"
    ),
}
_CLIPS: dict[str, Callable[[float], optax.GradientTransformation]] = {
    "clipnorm": clipped_each,
    "global_clipnorm": clipped_together,
    "clipvalue": optax.clip,
}
_NOT_HERE = {
    "use_ema": "average the parameters beside the optimizer, with optax.ema",
    "loss_scale_factor": "divide the gradients by it",
    "gradient_accumulation_steps": "wrap in optax.MultiSteps",
}


def is_keras_optimizer(optimizer: Any) -> bool:
    """Whether the optimizer's class is Keras' own; a subclass may step differently."""
    return type(optimizer).__module__.partition(".")[0] == "keras" and hasattr(
        optimizer, "get_config"
    )


def translate_keras(
    source: Any, lr: Any = None, arrange: Arrangement | None = None, names: Any = None
) -> KerasTranslated:
    """The transformation of a Keras optimizer, its config, or its serialized form.

    Arguments, result and errors are those of `translate`.
    """
    settings = settings_of(source, lr)
    optimizer = settings.optimizer()
    variables = variables_of(source, names)
    for v in variables:
        if getattr(v, "constraint", None) is not None:
            raise InputError(
                f"the variable {v.path!r} has a constraint, which Keras applies after each step: "
                "pass get_config(), and apply the constraint to the parameters yourself"
            )
    named = names_of(source, names)
    decays = is_set(settings.arguments.get("weight_decay"))
    still = dict(zip(named, undecayed(source, variables) if decays else []))
    if any(still.values()):
        numbers = {name: int(is_still) for name, is_still in still.items()}
        shapes = shapes_of(named, variables) if callable(arrange) else None
        parts = {0: optimizer, 1: settings.optimizer(weight_decay=None)}
        optimizer = optax.partition(parts, labelling(arrange, numbers, shapes, named))
    if settings.clip is not None:
        how, bound = settings.clip
        optimizer = optax.chain(_CLIPS[how](bound), optimizer)
    translated = KerasTranslated(*pass_over(optimizer, counts=False, scheduled=False))
    excluded = frozenset(name for name, is_still in still.items() if is_still)
    translated.origin = KerasOrigin(settings, excluded, arrange)
    return translated


def settings_of(source: Any, lr: Any = None) -> Settings:
    """The settings of a Keras optimizer, its config or its serialized form.

    Raises:
      InputError: the optimizer, or one of its settings, has no equivalent here.
    """
    if isinstance(lr, (list, tuple)):
        raise InputError(
            f"lr has {len(lr)} entries, but Keras has no param groups: pass one learning rate"
        )
    kind, config = _config_of(source)
    for setting, remedy in _NOT_HERE.items():
        if config.get(setting):
            raise InputError(f"{setting}={config[setting]!r} has no equivalent here: {remedy}")
    clips = [(how, config[how]) for how in _CLIPS if (config.get(how) or 0) > 0]
    rate = config["learning_rate"]
    arguments = {name: config[name] for name in KINDS[kind].arguments if name in config}
    chosen = lr if lr is not None else schedule_of(rate) if isinstance(rate, Mapping) else rate
    return Settings(
        kind,
        {"learning_rate": chosen, **arguments},
        clips[0] if clips else None,
        not isinstance(rate, Mapping),
    )


def _config_of(source: Any) -> tuple[str, Mapping[str, Any]]:
    """The class name and the config."""
    if not isinstance(source, Mapping):
        kind = _known(type(source).__name__)
        try:
            return kind, source.get_config()
        except NotImplementedError:  # raised by a user's own schedule
            settings = (*KINDS[kind].arguments, *_CLIPS, *_NOT_HERE)
            schedule = type(source._learning_rate)
            config = {name: getattr(source, name) for name in settings}
            rate = {"class_name": schedule.__name__, "module": schedule.__module__}
            return kind, {**config, "learning_rate": rate}
    config = source.get("config", source)
    if "class_name" in source:
        if (source.get("module") or "keras").partition(".")[0] != "keras":
            raise InputError(
                f"{source['module']}.{source['class_name']} is not one of Keras' own classes"
            )
        return _known(source["class_name"]), config
    # Ftrl has AdaGrad's marks too, so Ftrl is recognised by its own first.
    fitting = [k for k, of in KINDS.items() if of.marks <= config.keys()]
    if not fitting or "learning_rate_power" in config:
        raise InputError(
            f"a Keras config of {', '.join(map(str, config))} has no equivalent here; {_choices()}"
        )
    return fitting[0], config


def _known(name: str) -> str:
    kind = "Adam" if name == "AdamW" else name
    if kind not in KINDS:
        wraps = name == "LossScaleOptimizer"
        remedy = "pass its inner_optimizer, which steps without the scale" if wraps else _choices()
        raise InputError(f"Keras' {name} has no equivalent here; {remedy}")
    return kind


def _choices() -> str:
    return f"known are {', '.join(KINDS)}, AdamW"
