"""The program of one step of an optimizer, traced in float64, and the names of its inputs."""

import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.microscope.equations.slots import Slot, slots_of
from jaxopt_notes.microscope.factories import call
from jaxopt_notes.verification import problem


class Program(NamedTuple):
    """One step.

    Attributes:
      jaxpr: takes hyperparameters, gradients, state and parameters; gives updates and state.
      optimizer: the traced transformation, with numbers in place of symbols.
      leaves: the names of the parameter arrays.
      params: their values before the first step, and `tree`, their structure.
      slots: the state's arrays, in order.
      hyperparameters: the hyperparameters that are inputs of the program, name → value.
      settings: all arguments of the factory.
      schedules: hyperparameters that are functions of the step count.
    """

    jaxpr: Any
    optimizer: Any
    leaves: tuple[str, ...]
    params: tuple[np.ndarray, ...]
    tree: Any
    slots: tuple[Slot, ...]
    hyperparameters: dict[str, float]
    settings: dict[str, Any]
    schedules: dict[str, Callable[[Any], Any]]


_RATES = ("learning_rate", "lr", "alpha", "eta", "weight_decay", "step_size_fn", "step_size")
_MISSING = re.compile(r"missing \d+ required (?:keyword-only|positional) arguments?: (.*)")


def trace_factory(
    name: str, factory: Callable[..., Any], values: dict[str, Any], params: Any = None
) -> Program:
    """Traces a factory's optimizer, with numbers as symbols where the factory allows it.

    Raises:
      InputError: the factory refuses the values, or its optimizer cannot step.
    """
    optimizer = checked(name, call(name, factory, **values))
    settings = _settings(factory, values)
    schedules = {k: v for k, v in settings.items() if _is_schedule(k, v)}
    plain = trace_made(name, optimizer, params)._replace(settings=settings)
    numbers = _numbers(settings)

    def attempt(names: list[str], scheduled: Mapping[str, Any]) -> Program | None:
        chosen = {k: numbers[k] for k in names}

        def build(hp: Mapping[str, Any]) -> Any:
            return factory(**_with(values, settings, hp, scheduled))

        try:
            return _trace(plain, build, chosen, dict(scheduled))
        except Exception:  # the factory, or its update, needs the number itself
            return None

    for scheduled in (schedules, {}):
        whole = attempt(list(numbers), scheduled)
        if whole is None:
            able = [k for k in numbers if attempt([k], scheduled) is not None]
            whole = attempt(able, scheduled)
        if whole is not None:
            return whole
    return plain


def trace_made(name: str, optimizer: Any, params: Any = None) -> Program:
    """Traces a transformation that is already made.

    Raises:
      InputError: it is not an optimizer, or cannot step with gradients and parameters alone.
    """
    checked(name, optimizer)
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = problem.start("float64") if params is None else params
        tree: Any
        flat, tree = jax.tree_util.tree_flatten_with_path(values)
        if not flat:
            raise InputError("params: holds no array; pass the parameters, or leave params out")
        leaves = tuple(_leaf_name(path, i) for i, (path, _) in enumerate(flat))
        arrays = tuple(np.asarray(x, np.float64) for _, x in flat)
        try:
            state = optimizer.init(tree.unflatten(jax.device_put(arrays)))
        except Exception as error:
            raise InputError(
                f"{name}: its init fails on the parameters ({first_line(error)})"
            ) from error
        slots = tuple(slots_of(state, [path for path, _ in flat], arrays))
        empty = Program(None, optimizer, leaves, arrays, tree, slots, {}, {}, {})
        try:
            return _trace(empty, lambda hp: optimizer, {}, {})
        except Exception as error:
            raise InputError(f"{name}: {_why(error)}") from error


def checked(name: str, optimizer: Any) -> Any:
    """The optimizer, if it has an `init` and an `update`."""
    if not (
        callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))
    ):
        kind = type(optimizer).__name__
        raise InputError(
            f"{name}: gives {kind}, which has no init and update; "
            "pass what makes an optax transformation"
        )
    return optimizer


def _why(error: Exception) -> str:
    missing = _MISSING.search(str(error))
    if missing:
        needs = missing[1].replace("'", "")
        return (
            f"its update needs {needs}, which a probe cannot give; explain it without what needs it"
        )
    return f"its update fails on gradients and parameters alone ({first_line(error)})"


def _trace(
    program: Program,
    build: Callable[[Mapping[str, Any]], Any],
    hp: dict[str, float],
    scheduled: dict[str, Any],
) -> Program:
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params = program.tree.unflatten(jax.device_put(program.params))
        state = program.optimizer.init(params)

        def step(hp: Any, grads: Any, state: Any, params: Any) -> Any:
            updates, state = build(hp).update(grads, state, params)
            return jax.tree.leaves(updates), jax.tree.leaves(state)

        jaxpr = jax.make_jaxpr(step)(hp, params, state, params)
    wanted = len(program.params) + len(program.slots)
    if len(jaxpr.jaxpr.outvars) != wanted:
        raise InputError(
            "its update returns state or updates with a different structure from what it takes"
        )
    return program._replace(jaxpr=jaxpr, hyperparameters=hp, schedules=scheduled)


def _leaf_name(path: Any, i: int) -> str:
    words = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", "")))) for k in path]
    return ".".join(words) or "θ"


def _settings(factory: Callable[..., Any], values: dict[str, Any]) -> dict[str, Any]:
    try:
        bound = inspect.signature(factory).bind(**values)
    except (TypeError, ValueError):
        return dict(values)
    bound.apply_defaults()
    spread = [
        k
        for k, p in inspect.signature(factory).parameters.items()
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    return {k: v for k, v in bound.arguments.items() if k not in spread} | values


def _is_schedule(name: str, value: Any) -> bool:
    named = name in _RATES or "schedule" in name
    return named and callable(value) and not isinstance(value, type)


def _numbers(settings: Mapping[str, Any]) -> dict[str, float]:
    """The real numbers among the arguments, without 0, which means that a term is absent."""
    numbers = {}
    for key, value in settings.items():
        for name, x in (
            [(key, value)]
            if not isinstance(value, tuple)
            else [(f"{key}[{i}]", x) for i, x in enumerate(value)]
        ):
            whole = isinstance(x, int) and key in _RATES
            if (isinstance(x, float) or whole) and not isinstance(x, bool) and x != 0:
                numbers[name] = float(x)
    return numbers


def _with(
    values: Mapping[str, Any],
    settings: Mapping[str, Any],
    hp: Mapping[str, Any],
    scheduled: Mapping[str, Any],
) -> dict[str, Any]:
    """The factory's arguments, with traced numbers and named schedules."""
    arguments = dict(values)
    for name, traced in hp.items():
        key, _, place = name.partition("[")
        if place:
            entries = list(arguments.get(key, settings[key]))
            entries[int(place[:-1])] = traced
            arguments[key] = tuple(entries)
        else:
            arguments[key] = traced
    return arguments | {name: named_schedule(name, f) for name, f in scheduled.items()}


def named_schedule(name: str, schedule: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The schedule as a call that the traced program names."""

    def named(count: Any) -> Any:
        return schedule(count)

    named.__name__ = schedule_label(name)
    return jax.jit(named)


def schedule_label(name: str) -> str:
    """The name of a schedule in the program."""
    return f"schedule_of_{name}"
