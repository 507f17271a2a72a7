"""A program's operations on one element; parameter arrays treated alike share one rule."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.transfer.recognition.elementwise import apply
from jaxopt_notes.transfer.recognition.program import Constant, Operation, Program, Ref, Slot

Array = np.ndarray
_G, _P, _FIRST = 0, 1, 2  # the numbers of the gradient, the parameter and the first slot


class Number(NamedTuple):
    """A number of the program that belongs to no parameter, by its index in the program."""

    ref: int


class Rule(NamedTuple):
    """The step of each element of some parameter arrays.

    Attributes:
      leaves: the arrays.
      slots: their accumulators.
      operations: the operations in order, with inputs and outputs renumbered.
      update: the value that is added to the parameter.
      new: each accumulator's new value.
    """

    leaves: tuple[int, ...]
    slots: tuple[Slot, ...]
    operations: tuple[Operation, ...]
    update: Any
    new: tuple[Any, ...]

    def numbers(self) -> set[int]:
        """The program's numbers that the rule uses."""
        refs = [i for op in self.operations for i in op.inputs] + [self.update, *self.new]
        return {ref.ref for ref in refs if isinstance(ref, Number)}

    def constants(self) -> set[float]:
        """The constants in the rule."""
        values = (i.value for op in self.operations for i in op.inputs if isinstance(i, Constant))
        return {abs(float(x)) for x in values if x.ndim == 0 and x.dtype.kind == "f"}

    @property
    def idle(self) -> bool:
        """Whether the update is always 0."""
        return isinstance(self.update, Constant) and not np.any(self.update.value)

    def step(
        self, numbers: Mapping[int, Array], g: Any, p: Any, slots: Sequence[Any]
    ) -> tuple[Array, list[Array]]:
        """The update and the new accumulators.

        Args:
          numbers: the program's numbers, arrays that broadcast with the others.
          g: gradients.
          p: parameters.
          slots: the accumulators.
        """
        values: dict[int, Any] = dict(enumerate([g, p, *slots]))

        def value(ref: Any) -> Any:
            if isinstance(ref, Constant):
                return ref.value
            return numbers[ref.ref] if isinstance(ref, Number) else values[ref]

        with np.errstate(all="ignore"):
            for op in self.operations:
                values[op.outputs[0]] = apply(op.name, op.params, [value(i) for i in op.inputs])
        return np.asarray(value(self.update)), [np.asarray(value(ref)) for ref in self.new]

    def depends(self, ref: Any) -> set[int]:
        """Which of gradient (0), parameter (1) and accumulators (2, …) a value depends on."""
        made: dict[int, set[int]] = {i: {i} for i in range(_FIRST + len(self.slots))}
        for op in self.operations:
            of = [made[i] for i in op.inputs if isinstance(i, int)]
            made[op.outputs[0]] = set().union(*of)
        return made.get(ref, set()) if isinstance(ref, int) else set()


def rules(program: Program) -> list[Rule]:
    """The rules of a program, each with its arrays."""
    by_home: dict[int, list[Operation]] = {}
    for op in program.operations:
        by_home.setdefault(op.home, []).append(op)
    alike: dict[Any, Rule] = {}
    for leaf, update in enumerate(program.updates):
        rule = _rule(program, leaf, update, by_home.get(leaf, []))
        key = _signature(rule)
        same = alike.get(key)
        alike[key] = rule if same is None else same._replace(leaves=(*same.leaves, leaf))
    return list(alike.values())


def _rule(program: Program, leaf: int, update: Ref, operations: list[Operation]) -> Rule:
    places = [k for k in program.new_slots if program.slots[k].home == leaf]
    own = {program.gradient(leaf): _G, program.parameter(leaf): _P}
    own |= {program.slot(k): _FIRST + i for i, k in enumerate(places)}

    def renamed(ref: Ref) -> Any:
        if isinstance(ref, Constant):
            return ref
        return own[ref] if ref in own else Number(ref)

    again = []
    for op in operations:
        inputs = tuple(map(renamed, op.inputs))
        for out in op.outputs:
            own[out] = len(own)
        again.append(op._replace(inputs=inputs, outputs=tuple(own[o] for o in op.outputs), home=0))
    new = tuple(renamed(program.new_slots[k]) for k in places)
    return Rule(
        (leaf,), tuple(program.slots[k] for k in places), tuple(again), renamed(update), new
    )


def _signature(rule: Rule) -> Any:
    def key(ref: Any) -> Any:
        return ref.key if isinstance(ref, Constant) else ref

    return (
        tuple(slot.path for slot in rule.slots),
        tuple((op.name, _params(op), *map(key, op.inputs)) for op in rule.operations),
        *map(key, (rule.update, *rule.new)),
    )


def _params(op: Operation) -> str:
    return str(op.params.get("y", "")) + str(op.params.get("new_dtype", ""))
