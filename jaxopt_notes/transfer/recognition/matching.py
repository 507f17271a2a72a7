"""From a rule to the framework's optimizer with an equal path, proved step by step."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes import conventions
from jaxopt_notes.transfer.recognition import proof
from jaxopt_notes.transfer.recognition.anatomy import Anatomy, Array, equal, steady
from jaxopt_notes.transfer.recognition.dissection import dissect
from jaxopt_notes.transfer.recognition.frameworks import FRAMEWORKS, Field
from jaxopt_notes.transfer.recognition.numbers import snap
from jaxopt_notes.transfer.recognition.program import Program
from jaxopt_notes.transfer.recognition.reasons import UnlikeError
from jaxopt_notes.transfer.recognition.rules import Rule, rules
from jaxopt_notes.transfer.recognition.scalars import AHEAD, Scalars, scalars
from jaxopt_notes.transfer.recognition.tracing import trace

HOMES: dict[str, Any] = {"torch": conventions.torch, "keras": conventions.keras}
KINDS = ("sgd", "adagrad", "rmsprop", "adam", "adamw")  # both frameworks have them
RATE = {"torch": "lr", "keras": "learning_rate"}
_SAMPLES = 16  # how many elements' states of each parameter array start the proof


class Schedules:
    """Decides whether an argument is one number or a schedule in the program.

    Attributes:
      keys: identify the schedules found so far.
      start: the steps that the schedules have taken; None without a schedule.
    """

    def __init__(self, rule: Rule, numbers: Scalars, constants: set[float]) -> None:
        self._rule, self._numbers, self._constants = rule, numbers, constants
        self.keys: list[Any] = []
        self.start: int | None = None

    def settle(self, x: Any, name: str) -> Any:
        """The argument: x itself, unless x is an array of the values at the probed steps."""
        if isinstance(x, tuple):
            return tuple(self.settle(entry, name) for entry in x)
        if not isinstance(x, np.ndarray):
            return x
        if steady(x):
            last = np.argmax(self._numbers.offsets) if len(x) > 1 else 0
            return snap(float(x[last]), self._constants, 1e-14)
        k = int(np.argmax(np.abs(x)))
        for ref in sorted(self._rule.numbers()):
            own = self._numbers.columns[ref][:, 0].astype(float)
            if own[k] and equal(x[k] / own[k] * own, x):
                return self._schedule(ref, float(x[k] / own[k]))
        what = "learning rate" if name in RATE.values() else name
        raise UnlikeError(f"its {what} changes with the steps, and by no schedule")

    def _schedule(self, ref: int, times: float) -> Callable[[Any], Any]:
        times = snap(times, self._constants | {1.0}, 1e-13)
        start = int(self._numbers.values[self._numbers.counts_below([ref])[0]])
        self.keys.append((ref, times))
        self.start = start if self.start is None else self.start
        return self._numbers.function(ref, times, start)


class Match(NamedTuple):
    """A framework's optimizer with a rule's path.

    Attributes:
      name: the function of `conventions.torch` or `conventions.keras`.
      keywords: its arguments, the learning rate among them.
      schedules: keys that identify its schedules.
      steps: how many steps the bias correction has seen.
      scheduled: how many steps the schedule has seen.
      fields: how to compute each field of its state from the rule's accumulators.
      anatomy: the rule's parts.
    """

    name: str
    keywords: dict[str, Any]
    schedules: Any
    steps: int
    scheduled: int
    fields: dict[str, Field]
    anatomy: Anatomy


def match(
    rule: Rule, numbers: Scalars, state: Any, framework: str, arguments: Mapping[str, Any]
) -> Match:
    """Finds the framework's optimizer with a rule's path, and proves it.

    Args:
      rule: the rule.
      numbers: the numbers of the program that contains the rule.
      state: the optimizer's state.
      framework: "torch" or "keras".
      arguments: the arguments of the optimizer's factory, where they are known.

    Raises:
      UnlikeError: there is no such optimizer, or the proof fails.
    """
    offsets = numbers.offsets
    constants = rule.constants() | _known(arguments) | _constants(numbers)
    error = UnlikeError("its steps are those of no known equation")
    for steps, base in _bases(rule, numbers):
        try:
            anatomy = dissect(rule, numbers.columns, steps + 1 + offsets, constants)
            candidate = FRAMEWORKS[framework](anatomy, base + offsets, constants)
            schedules = Schedules(rule, numbers, constants)
            keywords = {RATE[framework]: candidate.rate, **candidate.keywords}
            keywords = {name: schedules.settle(x, name) for name, x in keywords.items()}
        except UnlikeError as why:
            error = why
            continue
        start = base if schedules.start is None else schedules.start
        key = tuple(schedules.keys)
        result = Match(candidate.name, keywords, key, steps, start, candidate.fields, anatomy)
        parting = _parting(result, rule, numbers, state, framework)
        if not parting:
            return _with_callers_schedule(result, candidate.rate, numbers, framework, arguments)
        error = UnlikeError(f"{parting} are not those of conventions.{framework}.{result.name}")
    raise error


def made(framework: str, match: Match) -> optax.GradientTransformation:
    """The optimizer, made by its function in `conventions`."""
    optimizer: optax.GradientTransformation
    optimizer = getattr(HOMES[framework], match.name)(**match.keywords)
    return optimizer


def filled(state: Any, match: Match, fields: Mapping[str, Any]) -> Any:
    """A convention's state with the given trees in its fields, and a match's counts."""

    def holds(node: Any) -> bool:
        return any(name in fields or name == "count" for name in getattr(node, "_fields", ()))

    def fill(node: Any) -> Any:
        if not holds(node):
            return node
        new = {name: fields[name] for name in node._fields if name in fields}
        if "count" in node._fields:
            by_schedule = isinstance(node, optax.ScaleByScheduleState)
            count = match.scheduled if by_schedule else match.steps
            new["count"] = jnp.asarray(count, jnp.int32)
        return node._replace(**new)

    return jax.tree.map(fill, state, is_leaf=holds)


def _bases(rule: Rule, numbers: Scalars) -> list[tuple[int, int]]:
    """The possible step counts of the bias correction, each with the schedule's."""
    used = numbers.counts_below(rule.numbers())
    if not used:
        return [(0, 1)]
    parents = {slot.path.rpartition(".")[0] for slot in rule.slots}
    own = [k for k in used if numbers.program.slots[k].path.rpartition(".")[0] in parents]
    pairs = []
    for k in [*own, *(k for k in used if k not in own)]:
        other = next((j for j in used if j != k and j not in own), k)
        pairs.append((int(numbers.values[k]), int(numbers.values[other])))
    return list(dict.fromkeys(pairs))


def _with_callers_schedule(
    match: Match, rate: Array, numbers: Scalars, framework: str, arguments: Mapping[str, Any]
) -> Match:
    """Replaces a schedule from the program by an equal one from the factory's arguments."""
    if not callable(match.keywords[RATE[framework]]):
        return match
    counts = match.scheduled + numbers.offsets
    for schedule in filter(_is_schedule, arguments.values()):
        # optax's schedules round to float32, and round differently alone than inside the program.
        if equal(_values(schedule, counts), rate, 1e-5):
            return match._replace(keywords={**match.keywords, RATE[framework]: schedule})
    return match


def _is_schedule(value: Any) -> bool:
    return callable(value) and not isinstance(value, type)


def _values(schedule: Callable[[Any], Any], counts: Array) -> Array:
    with jax.enable_x64(True):
        try:
            return np.array([float(schedule(jnp.asarray(k, jnp.int32))) for k in counts])
        except Exception:  # the argument is some other function
            return np.full(len(counts), np.nan)


def _known(arguments: Mapping[str, Any]) -> set[float]:
    """The numbers among a factory's arguments."""
    values: list[Any] = []
    for value in arguments.values():
        values += value if isinstance(value, (tuple, list)) else [value]
    return {
        abs(float(x)) for x in values if isinstance(x, (int, float)) and not isinstance(x, bool)
    }


def _constants(numbers: Scalars) -> set[float]:
    """The numbers that an optimizer keeps in its state."""
    return {abs(float(x)) for x in numbers.values.values() if x.dtype.kind == "f" and x.ndim == 0}


def _parting(match: Match, rule: Rule, numbers: Scalars, state: Any, framework: str) -> str:
    """Where the framework's optimizer departs from the rule; "" if nowhere."""
    optimizer = made(framework, match)
    one = jnp.zeros(1)
    start = filled(optimizer.init(one), match, {})
    other_program = trace(optimizer, start, one)
    shared = scalars(other_program, start, numbers.offsets)
    if len(shared.offsets) < len(numbers.offsets):
        return "its numbers at far steps"
    (other,) = rules(other_program)
    fields = [match.fields[slot.field] for slot in other.slots]
    slots = _samples(rule, numbers.program, state)
    return proof.parts(
        proof.Side(rule, numbers.columns, slots),
        proof.Side(other, shared.columns, [f.of(slots[f.place]) for f in fields]),
        fields,
        AHEAD,
        len(numbers.offsets),
    )


def _samples(rule: Rule, program: Program, state: Any) -> list[Array]:
    """Initial accumulators of the proof: every other element is 0, the rest come from the state."""
    leaves = jax.tree.leaves(state)
    homes = rule.leaves[:: -(-len(rule.leaves) // 8)]
    size = proof.elements(_SAMPLES * len(homes))
    slots = []
    for slot in rule.slots:
        seen = []
        for home in homes:
            x = np.ravel(np.asarray(leaves[program.place(slot.path, home)], np.float64))
            seen.append(x[np.linspace(0, len(x) - 1, _SAMPLES).astype(int)] if len(x) else x)
        values = np.nan_to_num(np.concatenate(seen), posinf=0.0, neginf=0.0)
        own = np.zeros(size)
        if len(values):
            own[1::2] = np.resize(values, size // 2)
        slots.append(own)
    return slots
