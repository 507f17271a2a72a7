"""From a rule to the framework's optimizer that takes its path, proved step by step."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes import conventions
from jaxopt_notes.transfer import proof
from jaxopt_notes.transfer.anatomy import Anatomy, Array, equal, steady
from jaxopt_notes.transfer.dissection import dissect
from jaxopt_notes.transfer.frameworks import FRAMEWORKS, Field
from jaxopt_notes.transfer.numbers import snap
from jaxopt_notes.transfer.program import Program
from jaxopt_notes.transfer.reasons import UnlikeError
from jaxopt_notes.transfer.rules import Rule, rules
from jaxopt_notes.transfer.scalars import AHEAD, Scalars, scalars
from jaxopt_notes.transfer.tracing import trace

HOMES: dict[str, Any] = {"torch": conventions.torch, "keras": conventions.keras}
RATE = {"torch": "lr", "keras": "learning_rate"}
_SAMPLES = 16  # elements of each parameter array whose state the proof starts from


class Match(NamedTuple):
    """A framework's optimizer that takes a rule's path.

    Attributes:
      name: the function of `conventions.torch` or `conventions.keras`.
      keywords: its arguments, the learning rate among them.
      rate: what tells one learning rate from another.
      steps: how many steps the bias correction has seen.
      scheduled: how many steps the schedule has seen.
      fields: how each field of its state is made of the rule's accumulators.
      anatomy: the rule's parts.
    """

    name: str
    keywords: dict[str, Any]
    rate: Any
    steps: int
    scheduled: int
    fields: dict[str, Field]
    anatomy: Anatomy


def match(
    rule: Rule,
    program: Program,
    numbers: Scalars,
    state: Any,
    framework: str,
    arguments: Mapping[str, Any],
) -> Match:
    """Finds the optimizer of a framework that takes a rule's path, and proves it.

    Args:
      rule: the rule.
      program: what it is a part of.
      numbers: the program's.
      state: the optimizer's state.
      framework: "torch" or "keras".
      arguments: those of the factory that made the optimizer, where they are known.

    Raises:
      UnlikeError: there is none, or none that is proved.
    """
    offsets, columns = _columns(rule, numbers)
    constants = rule.constants() | _known(arguments) | _constants(numbers)
    error = UnlikeError("its steps are those of no known equation")
    for steps, base in _bases(rule, numbers):
        try:
            anatomy = dissect(rule, columns, steps + 1 + offsets, constants)
            candidate = FRAMEWORKS[framework](anatomy, base + offsets, constants)
            rate, key, scheduled = _rate(
                candidate.rate, columns, numbers, base, offsets, constants, arguments
            )
        except UnlikeError as why:
            error = why
            continue
        keywords = {RATE[framework]: rate, **candidate.keywords}
        found = Match(candidate.name, keywords, key, steps, scheduled, candidate.fields, anatomy)
        parting = _parting(found, rule, program, columns, offsets, state, framework)
        if not parting:
            return found
        error = UnlikeError(f"{parting} are not those of conventions.{framework}.{found.name}")
    raise error


def _columns(rule: Rule, numbers: Scalars) -> tuple[Array, dict[int, Array]]:
    """The steps to look at, but for far ones where a number overflows, and the numbers there."""
    offsets = numbers.offsets()
    columns = numbers.at(rule.numbers(), offsets)
    finite = np.ones(len(offsets), bool)
    for x in columns.values():
        finite &= np.isfinite(x[:, 0])
    if not finite[:AHEAD].all():
        raise UnlikeError(f"one of its numbers is not finite within the next {AHEAD} steps")
    return offsets[finite], {i: x[finite] for i, x in columns.items()}


def made(framework: str, found: Match) -> optax.GradientTransformation:
    """The optimizer by its convention here."""
    optimizer: optax.GradientTransformation
    optimizer = getattr(HOMES[framework], found.name)(**found.keywords)
    return optimizer


def filled(state: Any, found: Match, fields: Mapping[str, Any]) -> Any:
    """A convention's state with these trees in its fields, and the counts of a match."""

    def holds(node: Any) -> bool:
        return any(name in fields or name == "count" for name in getattr(node, "_fields", ()))

    def fill(node: Any) -> Any:
        if not holds(node):
            return node
        new = {name: fields[name] for name in node._fields if name in fields}
        if "count" in node._fields:
            by_schedule = isinstance(node, optax.ScaleByScheduleState)
            count = found.scheduled if by_schedule else found.steps
            new["count"] = jnp.asarray(count, jnp.int32)
        return node._replace(**new)

    return jax.tree.map(fill, state, is_leaf=holds)


def _bases(rule: Rule, numbers: Scalars) -> list[tuple[int, int]]:
    """The steps that the bias correction may have seen, with those that the schedule has."""
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


def _rate(
    rate: Array,
    columns: Mapping[int, Array],
    numbers: Scalars,
    base: int,
    offsets: Array,
    constants: set[float],
    arguments: Mapping[str, Any],
) -> tuple[Any, Any, int]:
    """The learning rate, a key for it, and the count that its schedule starts from."""
    k = int(np.argmax(offsets))
    if steady(rate):
        value = snap(float(rate[k]), constants, 1e-14)
        return value, value, base
    for name, schedule in arguments.items():
        if _is_schedule(schedule) and equal(_values(schedule, base + offsets), rate):
            return schedule, name, base
    k = int(np.argmax(rate))
    for ref, column in columns.items():
        x = column[:, 0].astype(float)
        if not x[k] or not equal(rate[k] / x[k] * x, rate):
            continue
        times = snap(float(rate[k] / x[k]), constants | {1.0}, 1e-13)
        (count, *_) = numbers.counts_below([ref])
        start = int(numbers.values[count])
        return numbers.function(ref, times, start), (ref, times), start
    raise UnlikeError("its learning rate changes with the steps, and by no schedule")


def _is_schedule(value: Any) -> bool:
    return callable(value) and not isinstance(value, type)


def _values(schedule: Callable[[Any], Any], counts: Array) -> Array:
    with jax.enable_x64(True):
        try:
            return np.array([float(schedule(jnp.asarray(k, jnp.int32))) for k in counts])
        except Exception:  # some other function among the arguments
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


def _parting(
    found: Match,
    rule: Rule,
    program: Program,
    columns: Mapping[int, Array],
    offsets: Array,
    state: Any,
    framework: str,
) -> str:
    """Where the framework's optimizer parts from the rule; "" if nowhere."""
    optimizer = made(framework, found)
    one = jnp.zeros(1)
    start = filled(optimizer.init(one), found, {})
    theirs = trace(optimizer, start, one)
    shared = scalars(theirs, start)
    (other,) = rules(theirs)
    fields = [found.fields[slot.field] for slot in other.slots]
    slots = _samples(rule, program, state)
    return proof.parts(
        proof.Side(rule, columns, slots),
        proof.Side(
            other, shared.at(other.numbers(), offsets), [f.of(slots[f.place]) for f in fields]
        ),
        fields,
        AHEAD,
        len(offsets),
    )


def _samples(rule: Rule, program: Program, state: Any) -> list[Array]:
    """Accumulators to begin the proof with: every other element 0, the rest as the state's are."""
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
