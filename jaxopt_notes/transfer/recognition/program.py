"""An optimizer's step as a list of operations, each assigned to a parameter array.

Torch's and Keras' optimizers are elementwise: a step treats every parameter array separately and
may share numbers (the step count, the learning rate). So each value of the program belongs to one
parameter array, or to none. An operation that joins or mixes elements is recorded with a
description.
"""

from typing import Any, NamedTuple

import numpy as np

FREE, SEVERAL = -1, -2  # belongs to no parameter array; to more than one


class Constant:
    """A constant number or array in the program."""

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value)

    @property
    def key(self) -> tuple[Any, ...]:
        return str(self.value.dtype), self.value.shape, self.value.tobytes()


Ref = int | Constant  # a value's index, or a constant itself


class Operation(NamedTuple):
    """One operation.

    Attributes:
      name: the name of JAX's primitive.
      primitive: the primitive itself.
      params: its parameters.
      inputs: the input values.
      outputs: the indices of the output values.
      home: the parameter array that it belongs to, `FREE` or `SEVERAL`.
      mixes: how it mixes elements, in words; "" if it is elementwise.
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
      operations: the operations that the updates need, in order.
      updates: the update of each parameter.
      new_slots: the new value of each state array that the updates need, by the array's index.
    """

    paths: tuple[str, ...]
    slots: tuple[Slot, ...]
    operations: tuple[Operation, ...]
    updates: tuple[Ref, ...]
    new_slots: dict[int, Ref]

    @property
    def mixes(self) -> tuple[str, ...]:
        """How the operations mix elements, in words."""
        return tuple(dict.fromkeys(op.mixes for op in self.operations if op.mixes))

    def gradient(self, leaf: int) -> int:
        return leaf

    def parameter(self, leaf: int) -> int:
        return len(self.paths) + leaf

    def slot(self, k: int) -> int:
        return 2 * len(self.paths) + k

    def place(self, path: str, leaf: int) -> int:
        """The place of a parameter's accumulator in the state."""
        return next(k for k, s in enumerate(self.slots) if (s.path, s.home) == (path, leaf))
