"""`diagnose`: why two optimizers differ, and which change makes them agree."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.errors import InputError
from jaxopt_notes.microscope import comparing, remedies
from jaxopt_notes.microscope.calls import called, in_jax, label, stepper_of
from jaxopt_notes.microscope.comparing import Distance, Problem
from jaxopt_notes.microscope.steps.families import directions
from jaxopt_notes.microscope.steps.fitting import Fit
from jaxopt_notes.microscope.steps.identification import Examination, examine

MARKS = (10, 100, 1_000)


class Difference(NamedTuple):
    """One difference between two equations.

    Attributes:
      name: the part of the equation.
      first: that part of the first optimizer.
      second: that part of the second optimizer.
      apart: how far this difference alone moves the first optimizer's path in the steps of
        `identify`, relative to the distance travelled; NaN if it cannot be isolated.
      change: the keywords that remove the difference from the first optimizer's call; empty if none
        do.
    """

    name: str
    first: str
    second: str
    apart: float
    change: dict[str, Any]

    def __str__(self) -> str:
        remedy = ", ".join(f"{k}={v!r}" for k, v in self.change.items())
        words = f" → pass {remedy}" if remedy else ""
        return f"{self.name}: {self.first} / {self.second}{words}"


class Diagnosis(NamedTuple):
    """Why two optimizers differ.

    Attributes:
      first, second: the optimizers' calls as code.
      equal: whether rounding explains all differences.
      dtype: of the parameters.
      steps: how many steps were compared.
      ulps: the largest distance, in units in the last place.
      first_step: the first step at which they differ, counted from 1; None if they are equal.
      apart: after 10, 100 and 1,000 steps, the largest distance relative to the distance travelled.
      differences: the largest first.
      deviations: faults of either optimizer, as `identify` names them.
      fixed: the first optimizer's call after the changes; empty if nothing can be changed.
      fixed_ulps: the largest distance after the changes; None if the changes do not make them
        equal.
      instead: a call in JAX that equals the second optimizer; empty if none is known.
      distances: the relative distance at each step (T,), before and, if there are changes, after
        them.

    >>> import optax
    >>> from functools import partial
    >>> diagnosis = diagnose(partial(optax.sgd, 0.1), partial(optax.sgd, 0.1))
    >>> diagnosis.equal, diagnosis.steps, diagnosis.first_step
    (True, 1000, None)
    """

    first: str
    second: str
    equal: bool
    dtype: str
    steps: int
    ulps: float
    first_step: int | None
    apart: dict[int, float]
    differences: tuple[Difference, ...]
    deviations: tuple[str, ...]
    fixed: str
    fixed_ulps: float | None
    instead: str
    distances: tuple[np.ndarray, ...]

    def __str__(self) -> str:
        place = f"{self.steps:,} steps in {self.dtype}"
        if self.equal:
            return (
                f"{self.first} and {self.second} are equal: at most {self.ulps:.3g} units in the "
                f"last place apart over {place}"
            )
        lines = [f"{self.first} and {self.second} first differ at step {self.first_step}"]
        far = "; ".join(f"{x:.2g} after {step:,} steps" for step, x in self.apart.items())
        lines.append(f"  apart, relative to the distance travelled: {far}")
        lines += [f"  {i}. {difference}" for i, difference in enumerate(self.differences, 1)]
        lines += [f"  DEVIATION of {sentence}" for sentence in self.deviations]
        if self.fixed_ulps is not None:
            lines.append(
                f"  with {self.fixed} they are equal: at most {self.fixed_ulps:.3g} units in the "
                f"last place apart over {place}"
            )
        elif self.fixed:
            lines.append(f"  {self.fixed} has these changes, but other differences remain")
        if self.instead:
            lines.append(f"  in JAX, {self.instead} equals {self.second}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values, without the distances of each step."""
        value = self._asdict()
        value.pop("distances")
        value["differences"] = [difference._asdict() for difference in self.differences]
        return value


def diagnose(
    a: Any,
    b: Any,
    params: Any = None,
    grads: Sequence[Any] | None = None,
    *,
    dtype: str = "float64",
) -> Diagnosis:
    """Compares two optimizers on equal gradients, and names what makes them differ.

    Args:
      a: an optimizer: a call such as `functools.partial(optax.rmsprop, learning_rate=0.01)`, of a
        function or class of optax, torch or Keras; a transformation; or a stepper. Only for a call
        can `diagnose` propose and try changes of keywords.
      b: the optimizer to compare `a` with.
      params: a tree of initial parameters (default: the certificate's).
      grads: trees of gradients like `params`, one for each step (default: the certificate's, 1,000
        steps).
      dtype: "float64" or "float32", the parameters' dtype if `params` is not given.

    Raises:
      InputError: an optimizer cannot step with gradients alone.
      ValueError: `params` without `grads` or the reverse, or they do not fit each other.

    >>> import optax
    >>> from functools import partial
    >>> print(diagnose(partial(optax.sgd, 0.1, momentum=0.9), partial(optax.sgd, 0.1)).first_step)
    2
    """
    if (params is None) != (grads is None):
        raise ValueError("params and grads: pass both or neither")
    if grads is None:
        problem = comparing.usual_problem(dtype)
    else:
        problem = comparing.own_problem(params, grads)
        dtype = str(next(iter(problem.params.values())).dtype)
    steppers = stepper_of(a), stepper_of(b)
    target = comparing.walk(steppers[1], problem)
    apart = comparing.distance(comparing.walk(steppers[0], problem), target, dtype)
    empty = _diagnosis(a, b, dtype, problem, apart)
    if empty.equal:
        return empty
    seen = examine(steppers[0]), examine(steppers[1])
    differences = _differences(a, *seen)
    explained = empty._replace(
        differences=differences,
        deviations=_deviations(empty, *seen),
        instead=_instead(b, problem, target),
    )
    changed = {k: v for difference in differences for k, v in difference.change.items()}
    return _fix(explained, a, changed, problem, target) if changed else explained


def assert_same_optimizer(mine: Any, reference: Any, **problem: Any) -> None:
    """Fails unless two optimizers are equal up to rounding; for use in tests.

    Args:
      mine: the optimizer under test; see `diagnose`.
      reference: the optimizer that it must equal.
      **problem: `params`, `grads` and `dtype`, as `diagnose` takes them.

    Raises:
      AssertionError: they differ; the message is the diagnosis.

    >>> import optax
    >>> import jaxopt_notes
    >>> assert_same_optimizer(jaxopt_notes.sgd(0.1), optax.sgd(0.1))
    """
    diagnosis = diagnose(mine, reference, **problem)
    assert diagnosis.equal, str(diagnosis)


def _diagnosis(a: Any, b: Any, dtype: str, problem: Problem, apart: Distance) -> Diagnosis:
    steps = problem.steps
    marks = [step for step in MARKS if step <= steps] or [steps]
    return Diagnosis(
        first=label(a),
        second=label(b),
        equal=apart.first_step is None,
        dtype=dtype,
        steps=steps,
        ulps=float(np.max(apart.ulps)),
        first_step=apart.first_step,
        apart={step: float(apart.relative[step - 1]) for step in marks},
        differences=(),
        deviations=(),
        fixed="",
        fixed_ulps=None,
        instead="",
        distances=(apart.relative,),
    )


def _differences(a: Any, first: Examination, second: Examination) -> tuple[Difference, ...]:
    if first.fit is None or second.fit is None:
        here, there = (
            f"{'' if each.identification.known else 'unknown, '}{each.identification.family}"
            for each in (first, second)
        )
        return (Difference("equation", here, there, float("nan"), {}),)
    made = called(a)
    differences = []
    for part in remedies.parts(first.fit, second.fit):
        change = {} if made is None else remedies.changes(made.func, part, second.fit)
        apart = _effect(part, first, second)
        differences.append(Difference(part.name, part.first, part.second, apart, change))
    return tuple(sorted(differences, key=lambda each: -np.nan_to_num(each.apart, nan=-1.0)))


def _effect(part: remedies.Part, first: Examination, second: Examination) -> float:
    """How far the first optimizer's path moves if only this part changes to the second's."""
    here, there = _known(first), _known(second)
    field, letter = part.field, part.letter
    structure, values = here.structure, dict(here.values)
    if field:
        structure = structure._replace(**{field: getattr(there.structure, field)})
    for each in (*structure.letters, letter):
        if each in there.values and (each == letter or each not in values):
            values[each] = there.values[each]
    if letter == "λ" and "αλ" in there.values:
        values["αλ"] = there.values["αλ"]
    try:
        ours = _path(here, first)
        other = _path(here._replace(structure=structure, values=values), first)
    except KeyError:  # the equation allows this part only together with others
        return float("nan")
    with np.errstate(all="ignore"):
        travelled = np.abs(np.diff(ours, axis=0, prepend=0.0)).sum(0)
        return float(np.nanmax(np.abs(other - ours)[-1] / travelled, initial=0.0))


def _known(examined: Examination) -> Fit:
    if examined.fit is None:
        raise ValueError("an unknown optimizer has no equation")
    return examined.fit


def _path(fit: Fit, examined: Examination) -> np.ndarray:
    """(T, n), the path of each element on the gradients of the examination."""
    conditions = examined.record.conditions
    moves = -fit.values["α"] * directions(fit.structure, fit.values, conditions)[0]
    moves = moves - fit.values.get("αλ", 0.0) * conditions.params
    return np.cumsum(moves, axis=0)


def _deviations(empty: Diagnosis, first: Examination, second: Examination) -> tuple[str, ...]:
    return tuple(
        f"{name}: {sentence}"
        for name, seen in ((empty.first, first), (empty.second, second))
        for sentence in seen.identification.deviations
    )


def _fix(
    before: Diagnosis,
    a: Any,
    changed: dict[str, Any],
    problem: Problem,
    target: dict[str, np.ndarray],
) -> Diagnosis:
    """The diagnosis, after trying the changes."""
    made = called(a)
    assert made is not None
    better = partial(made.func, *made.args, **(made.keywords | changed))
    try:
        apart = comparing.distance(
            comparing.walk(stepper_of(better), problem), target, before.dtype
        )
    except InputError:  # its function does not take these keywords together
        return before
    equal = apart.first_step is None
    return before._replace(
        fixed=label(better),
        fixed_ulps=float(np.max(apart.ulps)) if equal else None,
        instead="" if equal else before.instead,
        distances=(*before.distances, apart.relative),
    )


def _instead(b: Any, problem: Problem, target: dict[str, np.ndarray]) -> str:
    """The call in JAX that equals a torch or Keras optimizer, tested on the gradients."""
    made = in_jax(b)
    if made is None:
        return ""
    dtype = next(iter(problem.params.values())).dtype
    apart = comparing.distance(comparing.walk(stepper_of(made), problem), target, dtype)
    return label(made) if apart.first_step is None else ""
