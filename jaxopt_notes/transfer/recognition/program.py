"""An optimizer's step as a list of operations, each in the parameter array that it belongs to.

A step of an optimizer that torch or Keras has is elementwise: every parameter array is worked on by
itself, with numbers (the step count, the learning rate) that all may share. So each value of the
program belongs to one parameter array, or to none. An operation that joins or mixes elements is
kept with a note of what it does.
"""

from typing import Any, NamedTuple

import numpy as np

FREE, SEVERAL = -1, -2  # belongs to no parameter array; to more than one


class Constant:
    """A number, or an array of them, that stands in the program."""

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value)

    @property
    def key(self) -> tuple[Any, ...]:
        return str(self.value.dtype), self.value.shape, self.value.tobytes()


Ref = int | Constant  # a value: its number, or itself


class Operation(NamedTuple):
    """One operation.

    Attributes:
      name: of JAX's primitive.
      primitive: the primitive itself.
      params: its parameters.
      inputs: the values that it takes.
      outputs: the numbers of the values that it gives.
      home: the parameter array that it belongs to, `FREE` or `SEVERAL`.
      mixes: what it does to elements, in words; "" if it works on each by itself.
    """

    name: str
    primitive: Any
    params: dict[str, Any]
    inputs: tuple[Ref, ...]
    outputs: tuple[int, ...]
    home: int
    mixes: str


class Slot(NamedTuple):
    """One array of the state: its path, its class, and the parameter array it belongs to."""

    path: str
    field: str
    owner: str
    home: int


class Program(NamedTuple):
    """One step. The inputs are numbered: gradients, then parameters, then the state's arrays.

    Attributes:
      paths: the parameters' names.
      slots: the state's arrays.
      operations: those that the updates need, in their order.
      updates: the update of each parameter.
      new_slots: the new value of each array of the state that the updates need, by its number.
    """

    paths: tuple[str, ...]
    slots: tuple[Slot, ...]
    operations: tuple[Operation, ...]
    updates: tuple[Ref, ...]
    new_slots: dict[int, Ref]

    @property
    def mixes(self) -> tuple[str, ...]:
        """What it does besides working on each element by itself."""
        return tuple(dict.fromkeys(op.mixes for op in self.operations if op.mixes))

    def gradient(self, leaf: int) -> int:
        return leaf

    def parameter(self, leaf: int) -> int:
        return len(self.paths) + leaf

    def slot(self, k: int) -> int:
        return 2 * len(self.paths) + k

    def place(self, path: str, leaf: int) -> int:
        """Where in the state the accumulator of a parameter stands."""
        return next(k for k, s in enumerate(self.slots) if (s.path, s.home) == (path, leaf))
