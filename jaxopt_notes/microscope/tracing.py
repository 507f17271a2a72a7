"""The program of one step of an optimizer, traced in double precision, and the names of its inputs."""

import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.microscope.factories import call
from jaxopt_notes.verification import problem


class Slot(NamedTuple):
    """One array of an optimizer's state.

    Attributes:
      field: its name there; for an entry of a dict, the key.
      owner: the class that holds it.
      leaf: the parameter array that it belongs to; None for a number of the whole tree.
      initial: its value before the first step.
      axes: the axes of the parameter array that it has, None for each of length 1; None instead of
        a tuple where that cannot be told.
    """

    field: str
    owner: str
    leaf: int | None
    initial: Any
    axes: tuple[int | None, ...] | None = ()

    def spread(self, value: Any, shape: tuple[int, ...]) -> Any:
        """The value with as many axes as the parameter array of that shape."""
        if not self.axes or all(a is None for a in self.axes):
            return np.reshape(value, ()) if np.size(value) == 1 else value
        return np.reshape(value, [n if a in self.axes else 1 for a, n in enumerate(shape)])


class Program(NamedTuple):
    """One step.

    Attributes:
      jaxpr: takes hyperparameters, gradients, state and parameters; gives updates and state.
      optimizer: the transformation that it was traced from, with numbers in place of symbols.
      leaves: the names of the parameter arrays.
      params: their values before the first step, and `tree`, their structure.
      slots: the state's arrays, in order.
      hyperparameters: those that are inputs of the program, by name, with their values.
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


def trace_factory(name: str, factory: Callable[..., Any], values: dict[str, Any],
                  params: Any = None) -> Program:
    """Traces the optimizer that a factory makes, its numbers as symbols where the factory allows.

    Raises:
      InputError: the factory does not take the values, or its optimizer cannot be stepped.
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
      InputError: it is no optimizer, or cannot be stepped with gradients and parameters alone.
    """
    checked(name, optimizer)
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = problem.start("float64") if params is None else params
        flat, tree = jax.tree_util.tree_flatten_with_path(values)
        if not flat:
            raise InputError("params: has no array; pass the parameters, or leave them out")
        leaves = tuple(_leaf_name(path, i) for i, (path, _) in enumerate(flat))
        arrays = tuple(np.asarray(x, np.float64) for _, x in flat)
        try:
            state = optimizer.init(tree.unflatten(list(map(jnp.asarray, arrays))))
        except Exception as error:
            raise InputError(f"{name}: its init fails on the parameters ({first_line(error)})"
                             ) from error
        slots = tuple(_slots(state, [path for path, _ in flat], arrays))
        empty = Program(None, optimizer, leaves, arrays, tree, slots, {}, {}, {})
        try:
            return _trace(empty, lambda hp: optimizer, {}, {})
        except Exception as error:
            raise InputError(f"{name}: {_why(error)}") from error


def checked(name: str, optimizer: Any) -> Any:
    """The optimizer, if it has an `init` and an `update`."""
    if not (callable(getattr(optimizer, "init", None))
            and callable(getattr(optimizer, "update", None))):
        kind = type(optimizer).__name__
        raise InputError(f"{name}: gives {kind}, which has no init and update; "
                         "pass what makes an optax transformation")
    return optimizer


def _why(error: Exception) -> str:
    missing = _MISSING.search(str(error))
    if missing:
        needs = missing[1].replace("'", "")
        return (f"its update needs {needs}, which a probe cannot give; explain it without "
                "what needs it")
    return f"its update fails on gradients and parameters alone ({first_line(error)})"


def _trace(program: Program, build: Callable[[Mapping[str, Any]], Any], hp: dict[str, float],
           scheduled: dict[str, Any]) -> Program:
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params = program.tree.unflatten([jnp.asarray(p) for p in program.params])
        state = program.optimizer.init(params)

        def step(hp: Any, grads: Any, state: Any, params: Any) -> Any:
            updates, state = build(hp).update(grads, state, params)
            return jax.tree.leaves(updates), jax.tree.leaves(state)

        jaxpr = jax.make_jaxpr(step)(hp, params, state, params)
    wanted = len(program.params) + len(program.slots)
    if len(jaxpr.jaxpr.outvars) != wanted:
        raise InputError("its update gives another tree of state or of updates than it takes")
    return program._replace(jaxpr=jaxpr, hyperparameters=hp, schedules=scheduled)


def _slots(state: Any, paths: list[Any], arrays: tuple[np.ndarray, ...]) -> Any:
    for path, value in jax.tree_util.tree_flatten_with_path(state)[0]:
        leaf, start, stop = None, len(path), len(path)
        for i, own in enumerate(paths):
            at = _place_of(own, path)
            longer = stop - start if leaf is not None else 0
            if at is not None and len(own) > longer:
                leaf, start, stop = i, at, at + len(own)
        if leaf is None and len(paths) == 1 and not paths[0]:  # the parameter is no tree
            same = jnp.shape(value) == arrays[0].shape
            leaf = 0 if same and jnp.issubdtype(value.dtype, np.floating) else None
        field = _field(path[:start]) + "".join(_field(path[stop:], "")[-1:])
        initial = _array(value)
        axes = _axes(arrays[leaf].shape, np.shape(initial)) if leaf is not None else ()
        yield Slot(field, _owner(state, path[:start]), leaf, initial, axes)


def _place_of(own: Any, path: Any) -> int | None:
    """Where a parameter's path stands within the path of an array of the state."""
    places = range(len(path) - len(own), -1, -1)
    return next((k for k in places if own and path[k : k + len(own)] == own), None)


def _axes(shape: tuple[int, ...], part: tuple[int, ...]) -> tuple[int | None, ...] | None:
    """Which axes of a parameter an array of its state has; None where that cannot be told."""
    if part == shape:
        return tuple(range(len(shape)))
    axes: list[int | None] = []
    for i, length in enumerate(part):
        fits = [a for a, n in enumerate(shape) if n == length and a not in axes]
        if length == 1:
            axes.append(None)
        elif i in fits and len(part) == len(shape):
            axes.append(i)
        elif len(fits) == 1 and all(a is None or a < fits[0] for a in axes):
            axes.append(fits[0])
        else:
            return None
    return tuple(axes)


def _array(value: Any) -> Any:
    try:
        return np.asarray(value)
    except TypeError:  # a random key
        return None


def _field(path: Any, otherwise: str = "s") -> str:
    for key in reversed(path):
        name = getattr(key, "name", getattr(key, "key", None))
        if isinstance(name, str):
            return name
    return otherwise


def _owner(state: Any, path: Any) -> str:
    """The innermost class with named fields on the way."""
    owner = ""
    for key in path:
        if hasattr(key, "name"):
            owner, state = type(state).__name__, getattr(state, key.name)
        else:
            state = state[getattr(key, "key", getattr(key, "idx", None))]
    return owner


def _leaf_name(path: Any, i: int) -> str:
    words = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", "")))) for k in path]
    return ".".join(words) or "θ"


def _settings(factory: Callable[..., Any], values: dict[str, Any]) -> dict[str, Any]:
    try:
        bound = inspect.signature(factory).bind(**values)
    except (TypeError, ValueError):
        return dict(values)
    bound.apply_defaults()
    spread = [k for k, p in inspect.signature(factory).parameters.items()
              if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return {k: v for k, v in bound.arguments.items() if k not in spread} | values


def _is_schedule(name: str, value: Any) -> bool:
    named = name in _RATES or "schedule" in name
    return named and callable(value) and not isinstance(value, type)


def _numbers(settings: Mapping[str, Any]) -> dict[str, float]:
    """The real numbers among the arguments; 0 stands for a term that is not there."""
    numbers = {}
    for key, value in settings.items():
        for name, x in ([(key, value)] if not isinstance(value, tuple) else
                        [(f"{key}[{i}]", x) for i, x in enumerate(value)]):
            whole = isinstance(x, int) and key in _RATES
            if (isinstance(x, float) or whole) and not isinstance(x, bool) and x != 0:
                numbers[name] = float(x)
    return numbers


def _with(values: Mapping[str, Any], settings: Mapping[str, Any], hp: Mapping[str, Any],
          scheduled: Mapping[str, Any]) -> dict[str, Any]:
    """The factory's arguments, with the traced numbers and the named schedules in them."""
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
    """What the program calls a schedule."""
    return f"schedule_of_{name}"
