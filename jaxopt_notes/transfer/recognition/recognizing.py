"""Finds the torch or Keras optimizer that equals a transformation.

One step is traced in float64 and read as one rule for each kind of parameter array. Measuring the
rule's parts and numbers gives a candidate among the framework's optimizers. The candidate and the
rule then take steps from equal states, and their results must agree. Without this proof nothing is
recognised.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.transfer.recognition.groups import Group, Row, groups
from jaxopt_notes.transfer.recognition.matching import HOMES, KINDS, Match, match
from jaxopt_notes.transfer.recognition.numbers import plain, snap
from jaxopt_notes.transfer.recognition.program import Program
from jaxopt_notes.transfer.recognition.reasons import CALLED, UnlikeError, reason
from jaxopt_notes.transfer.recognition.rules import rules
from jaxopt_notes.transfer.recognition.scalars import scalars
from jaxopt_notes.transfer.recognition.tracing import trace

# A transformation, `functools.partial(factory, …)`, or `(factory, keywords)`.
Optimizer = Any


def recognize(optimizer: Optimizer, state: Any, params: Any, framework: str) -> list[Group]:
    """Finds the framework's optimizers that take the transformation's path from this state on.

    Args:
      optimizer: a transformation; or its factory with arguments, `partial(optax.adamw, 1e-3)` or
        `(optax.adamw, {"learning_rate": 1e-3})`, from which a schedule can be reused.
      state: its state.
      params: the parameters.
      framework: "torch" or "keras".

    Returns:
      A group for each framework optimizer. A parameter in no group never changes.

    Raises:
      InputError: the framework has no such optimizer, or the state belongs to another optimizer.

    >>> import jax.numpy as jnp, optax
    >>> params = {"w": jnp.ones(3)}
    >>> optimizer = optax.sgd(0.1, momentum=0.9)
    >>> (group,) = recognize(optimizer, optimizer.init(params), params, "torch")
    >>> group.name, group.keywords["lr"], group.keywords["momentum"], group.members
    ('sgd', 0.1, 0.9, {'w': True})
    """
    if framework not in HOMES:
        raise InputError(f"framework {framework!r}: is not known; pass 'torch' or 'keras'")
    factory, arguments, transformation = _made(optimizer)
    try:
        program = trace(transformation, state, params)
        name = getattr(factory, "__name__", "")
        if name in KINDS and getattr(HOMES[framework], name) is factory:
            return [Group(name, arguments, jax.tree.map(lambda _: True, params), state)]
        rows = _rows(program, state, framework, arguments)
        _check_dtypes(rows, program, state, params)
        rows = _with_starts(rows, program, transformation, state, params, framework)
    except UnlikeError as error:
        raise InputError(reason(error, transformation, state, framework)) from error
    return groups(rows, program, state, params, framework)


def _made(
    optimizer: Optimizer,
) -> tuple[Callable[..., Any] | None, dict[str, Any], optax.GradientTransformation]:
    """The factory and all its arguments, if given, and the transformation."""
    if isinstance(optimizer, optax.MultiSteps):
        optimizer = optimizer.gradient_transformation()
    if isinstance(optimizer, optax.GradientTransformation):
        return None, {}, optimizer
    factory, args, values = None, (), {}
    if isinstance(optimizer, partial):
        factory, args, values = optimizer.func, optimizer.args, optimizer.keywords
    elif isinstance(optimizer, tuple) and len(optimizer) == 2 and callable(optimizer[0]):
        factory, values = optimizer
    if factory is None or not isinstance(values, Mapping):
        raise InputError(
            f"optimizer {type(optimizer).__name__}: is not an optax transformation; pass one, "
            "partial(factory, …) or (factory, keywords)"
        )
    name = getattr(factory, "__name__", type(factory).__name__)
    try:
        made = factory(*args, **values)
        bound = inspect.signature(factory).bind(*args, **values)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"optimizer {name}: refuses its arguments ({first_line(error)})"
        ) from error
    if not isinstance(made, optax.GradientTransformation):
        raise InputError(
            f"optimizer {name}: makes {type(made).__name__}, which is not an optax transformation"
        )
    bound.apply_defaults()
    return factory, dict(bound.arguments), made


def _rows(program: Program, state: Any, framework: str, arguments: Mapping[str, Any]) -> list[Row]:
    """Each rule that moves parameters, with its framework optimizer."""
    if program.mixes:
        raise UnlikeError(f"it {program.mixes[0]}")
    numbers = scalars(program, state)
    every = rules(program)
    rows = []
    for rule in every:
        try:
            if not rule.idle:
                rows.append((rule, match(rule, numbers, state, framework, arguments)))
        except UnlikeError as error:
            at = f" (at params{program.paths[rule.leaves[0]]})" if len(every) > 1 else ""
            raise UnlikeError(f"{error.what}{at}", error.remedy) from error
    return rows


def _check_dtypes(rows: Sequence[Row], program: Program, state: Any, params: Any) -> None:
    """Checks that accumulators have the parameter's dtype, as in the frameworks."""
    values, leaves = jax.tree.leaves(state), jax.tree.leaves(params)
    for rule, _ in rows:
        for slot in rule.slots:
            for i in rule.leaves:
                dtype = values[program.place(slot.path, i)].dtype
                if dtype != leaves[i].dtype:
                    raise UnlikeError(
                        f"it keeps {slot.owner}.{slot.field} in {dtype}, where params"
                        f"{program.paths[i]} is in {leaves[i].dtype}",
                        "leave mu_dtype or accumulator_dtype out",
                    )


def _with_starts(
    rows: Sequence[Row],
    program: Program,
    transformation: Any,
    state: Any,
    params: Any,
    framework: str,
) -> list[Row]:
    """The rows with G_0 among AdaGrad's arguments; RMSProp's E_0 is 0 in the frameworks."""
    if not any(fit.anatomy.kind in ("adagrad", "rmsprop") for _, fit in rows):
        return list(rows)
    starts = _starts(transformation, params)
    values = jax.tree.leaves(state)
    again = []
    for rule, fit in rows:
        if fit.anatomy.kind in ("adagrad", "rmsprop"):
            path = rule.slots[fit.anatomy.places["second"]].path
            places = [program.place(path, i) for i in rule.leaves]
            start = starts[places[0]]
            if fit.anatomy.kind == "adagrad":
                fit = _from(fit, start)
            elif start and any(_still(values[k], start) for k in places):
                raise UnlikeError(
                    f"its second moment starts from {start:g}, and has not moved yet; "
                    f"{CALLED[framework]}'s starts from 0",
                    "take a step first, or pass initial_scale=0",
                )
        again.append((rule, fit))
    return again


def _from(match: Match, start: float) -> Match:
    """AdaGrad with an initial value of the second moment."""
    field = match.fields["sum_of_squares"]
    value = snap(float(field.of(start)), {start})
    return match._replace(keywords={**match.keywords, "initial_accumulator_value": value})


def _still(x: Any, start: float) -> bool:
    """Whether an array still has its initial values."""
    array = np.asarray(x)
    return bool((array == array.dtype.type(start)).all())


def _starts(transformation: Any, params: Any) -> list[float]:
    """The first element of each array of a new state; 0 for an empty array or a non-number."""

    @jax.jit
    def first(params: Any) -> list[Any]:
        leaves = jax.tree.leaves(transformation.init(params))
        real = [jax.numpy.issubdtype(x.dtype, np.floating) and x.size > 0 for x in leaves]
        return [x.ravel()[0] if of else 0.0 for x, of in zip(leaves, real)]

    return [float(plain(x)) for x in first(params)]
