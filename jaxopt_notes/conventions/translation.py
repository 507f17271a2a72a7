"""From a torch or Keras optimizer to the equal transformation.

Neither framework is imported: a torch optimizer is known by its param groups, a Keras one by its
config. What has no equal here is refused by name.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import optax

from jaxopt_notes.conventions import arrangement, keras, torch
from jaxopt_notes.conventions.terms import Rate
from jaxopt_notes.errors import InputError


class _Source(NamedTuple):
    """An optimizer of another framework: its function here, and how its settings are known."""

    function: Callable[..., optax.GradientTransformation]
    arguments: tuple[str, ...]
    marks: frozenset[str]  # settings that no other optimizer of the framework has together


def _source(function: Callable[..., Any], arguments: str, marks: str) -> _Source:
    return _Source(function, tuple(arguments.split()), frozenset(marks.split()))


_ADAM = "betas eps weight_decay amsgrad maximize"
_TORCH = {
    "SGD": _source(
        torch.sgd,
        "momentum dampening weight_decay nesterov maximize",
        "momentum dampening nesterov",
    ),
    "Adagrad": _source(
        torch.adagrad,
        "lr_decay weight_decay initial_accumulator_value eps maximize",
        "lr_decay initial_accumulator_value",
    ),
    "RMSprop": _source(
        torch.rmsprop, "alpha eps weight_decay momentum centered maximize", "alpha centered"
    ),
    "Adam": _source(torch.adam, _ADAM, "betas amsgrad"),
    "AdamW": _source(torch.adamw, _ADAM, "betas amsgrad"),
}
_KERAS = {
    "SGD": _source(keras.sgd, "momentum nesterov weight_decay", "momentum nesterov"),
    "Adagrad": _source(
        keras.adagrad,
        "initial_accumulator_value epsilon weight_decay",
        "initial_accumulator_value epsilon",
    ),
    "RMSprop": _source(keras.rmsprop, "rho momentum epsilon centered weight_decay", "rho centered"),
    # Adam with a decay is AdamW there.
    "Adam": _source(
        keras.adam, "beta_1 beta_2 epsilon amsgrad weight_decay", "beta_1 beta_2 amsgrad"
    ),
}
_NOT_HERE = {
    "clipnorm": "clip before, by a transformation of your own",
    "global_clipnorm": "chain optax.clip_by_global_norm before",
    "clipvalue": "chain optax.clip before",
    "use_ema": "keep the average beside the optimizer, by optax.ema of the parameters",
    "loss_scale_factor": "divide the gradients by it",
    "gradient_accumulation_steps": "wrap in optax.MultiSteps",
}


def translate(
    optimizer: Any,
    *,
    lr: Rate | None = None,
    arrange: arrangement.Arrangement | None = None,
    names: Sequence[str] | None = None,
) -> optax.GradientTransformation:
    """The transformation with the trajectory of a torch or Keras optimizer.

    Args:
      optimizer: a torch optimizer (SGD, Adagrad, RMSprop, Adam, AdamW) or its `state_dict()`; a
        Keras optimizer (the same five), its `get_config()` or its serialized form.
      lr: a rate in place of the optimizer's, a number or a schedule of the steps taken. Needed
        where a schedule of the other framework drives the rate.
      arrange: only for torch param groups with different settings: where each parameter belongs in
        JAX's tree, as a tree of their names, or a function from {name: value} to the tree.
      names: the names of torch's parameters in order; as a default those it was told by
        `named_parameters`, else 0, 1, 2, ….

    Returns:
      A transformation of `jaxopt_notes.conventions`; for param groups that differ, an
      `optax.partition` of them.

    Raises:
      InputError: the optimizer, or one of its settings, has no equal here.

    >>> from jaxopt_notes.conventions import translate
    >>> config = {"learning_rate": 1.0, "momentum": 0.5, "nesterov": True, "weight_decay": None}
    >>> optimizer = translate(config)
    >>> print(optimizer.update(2.0, optimizer.init(0.0))[0])
    -3.0
    """
    if isinstance(optimizer, Mapping):
        if "param_groups" in optimizer:
            return _from_torch(optimizer["param_groups"], lr, arrange, names, optimizer)
        return _from_keras(optimizer.get("class_name"), optimizer.get("config", optimizer), lr)
    home, kind = type(optimizer).__module__.partition(".")[0], type(optimizer).__name__
    if home == "torch" and kind in _TORCH:
        return _from_torch(optimizer.param_groups, lr, arrange, names, optimizer)
    if home == "keras" and hasattr(optimizer, "get_config"):
        if getattr(optimizer, "_exclude_from_weight_decay", None) or getattr(
            optimizer, "_exclude_from_weight_decay_pattern", None
        ):
            raise InputError("exclude_from_weight_decay has no equal here: mask by optax.masked")
        return _from_keras(kind, optimizer.get_config(), lr)
    raise InputError(
        f"{type(optimizer).__module__}.{kind} has no equal here; known are torch's and Keras' "
        f"{', '.join(_TORCH)}"
    )


def kind_of_group(group: Mapping[str, Any]) -> str:
    """Which torch optimizer a param group is from."""
    for kind, source in _TORCH.items():
        if not source.marks <= group.keys():
            continue
        if kind != "Adam" or not group["weight_decay"]:
            return kind
        if "decoupled_weight_decay" not in group:
            raise InputError(
                "Adam or AdamW? an older torch does not say: set group['decoupled_weight_decay']"
            )
        return "AdamW" if group["decoupled_weight_decay"] else "Adam"
    raise InputError(
        f"a param group of {', '.join(group)} is of no optimizer that has an equal here"
    )


def _from_torch(
    groups: Sequence[Mapping[str, Any]],
    lr: Rate | None,
    arrange: arrangement.Arrangement | None,
    names: Sequence[str] | None,
    source: Any,
) -> optax.GradientTransformation:
    settings = [_torch_settings(group, lr) for group in groups]
    if all(one == settings[0] for one in settings):
        kind, arguments = settings[0]
        return _TORCH[kind].function(**arguments)
    if arrange is None:
        raise InputError(
            "the param groups differ: say by `arrange` where each parameter belongs in JAX's tree"
        )
    known = iter(arrangement.names_of(groups, names))
    of = {next(known): i for i, group in enumerate(groups) for _ in group["params"]}
    shapes = dict(zip(of, _shapes(groups, source))) if callable(arrange) else None
    return optax.partition(
        {i: _TORCH[kind].function(**arguments) for i, (kind, arguments) in enumerate(settings)},
        arrangement.labels(arrange, of, shapes),
    )


def _torch_settings(group: Mapping[str, Any], lr: Rate | None) -> tuple[str, dict[str, Any]]:
    kind = kind_of_group(group)
    if lr is None and "initial_lr" in group:
        raise InputError(
            "an lr_scheduler drives this optimizer: pass lr=, a number or a schedule of the steps"
        )
    arguments = {name: _plain(group[name]) for name in _TORCH[kind].arguments if name in group}
    return kind, {"lr": _plain(group["lr"]) if lr is None else lr, **arguments}


def _plain(value: Any) -> Any:
    """A setting as Python has it: torch allows tensors."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    return value.item() if hasattr(value, "item") else value


def _shapes(groups: Sequence[Mapping[str, Any]], source: Any) -> list[tuple[int, ...]]:
    """The parameters' shapes, from the optimizer itself or from what its state_dict keeps."""
    params = [p for group in groups for p in group["params"]]
    if not isinstance(source, Mapping):
        return [tuple(p.shape) for p in params]
    found = []
    for p in params:
        slots = [x for n, x in source["state"].get(p, {}).items() if n != "step" and x is not None]
        if not slots:
            raise InputError("a state_dict without moments has no shapes: pass the torch optimizer")
        found.append(tuple(slots[0].shape))
    return found


def _from_keras(
    kind: str | None, config: Mapping[Hashable, Any], lr: Rate | None
) -> optax.GradientTransformation:
    found = [k for k, source in _KERAS.items() if source.marks <= config.keys()]
    # Ftrl shares AdaGrad's marks, and is named by its own.
    if (kind and kind.replace("AdamW", "Adam") not in found) or "learning_rate_power" in config:
        found = []
    if not found:
        named = f"Keras' {kind}" if kind else f"a Keras config of {', '.join(map(str, config))}"
        raise InputError(f"{named} has no equal here; known are {', '.join(_KERAS)}, AdamW")
    for setting, remedy in _NOT_HERE.items():
        if config.get(setting):
            raise InputError(f"{setting}={config[setting]!r} has no equal here: {remedy}")
    rate = config["learning_rate"] if lr is None else lr
    if isinstance(rate, Mapping):
        raise InputError(
            f"the rate is Keras' {rate.get('class_name')}: pass lr=, a number or a schedule"
        )
    source = _KERAS[found[0]]
    arguments = {name: config[name] for name in source.arguments if name in config}
    return source.function(learning_rate=rate, **arguments)
