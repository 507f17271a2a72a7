"""The numbers that a program shares among its parameters: step counts, learning rates, constants.

A number of the state either counts the steps or stays as it is. What else the program computes
without gradients and parameters is then a function of the steps taken, and can be asked for at any
step, the first and the far ones too.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.transfer.numbers import plain
from jaxopt_notes.transfer.program import FREE, Constant, Operation, Program, Ref
from jaxopt_notes.transfer.reasons import UnlikeError

AHEAD = 40  # steps from here on, each of which is looked at
_FAR = tuple(10**k for k in range(2, 9))


class Scalars(NamedTuple):
    """The numbers of a program, and how they change from step to step.

    Attributes:
      program: whose they are.
      values: the state's numbers now, by their place in the state.
      counts: those places that count the steps.
    """

    program: Program
    values: dict[int, np.ndarray]
    counts: tuple[int, ...]

    def offsets(self) -> np.ndarray:
        """The steps from here at which the program is looked at; the past ones are negative.

        They are the next ones, the first ones, some far ones, and those beside every whole number
        in the program: a schedule changes there, if anywhere.
        """
        bases = {int(self.values[k]) for k in self.counts} or {0}
        marks = {m for op in self._free() for m in _whole_numbers(op)}
        at = {m + d for m in marks for d in (-1, 0, 1)} | {0, 1, 2, *_FAR}
        offsets = {a - base for a in at for base in bases} | set(range(AHEAD))
        low, high = -min(bases), 2**31 - 4 - max(bases)
        first = {offset for offset in offsets if low <= offset < high}
        return np.array([*range(AHEAD), *sorted(first - set(range(AHEAD)))])

    def at(self, refs: Iterable[int], offsets: np.ndarray) -> dict[int, np.ndarray]:
        """Numbers of the program at these steps from here: a column for each."""
        wanted = list(refs)
        bases = {self.program.slot(k): v for k, v in self.values.items()}
        counting = [self.program.slot(k) for k in self.counts]
        operations = needed(self._free(), wanted)

        def one(offset: Any) -> list[Any]:
            values: dict[int, Any] = {i: jnp.asarray(v) for i, v in bases.items()}
            for i in counting:
                values[i] = values[i] + offset.astype(values[i].dtype)
            return run(operations, values, wanted)

        with jax.enable_x64(True):
            found = jax.jit(jax.vmap(one))(jnp.asarray(offsets))
        return {i: np.asarray(x)[:, None] for i, x in zip(wanted, found)}

    def counts_below(self, refs: Iterable[int]) -> list[int]:
        """The counts that numbers of the program depend on."""
        wanted = list(refs)
        below = {i for op in needed(self._free(), wanted) for i in op.inputs if isinstance(i, int)}
        return [k for k in self.counts if self.program.slot(k) in below | set(wanted)]

    def function(self, ref: int, sign: float, base: int) -> Callable[[Any], Any]:
        """A number of the program as a function of the steps taken, times ±1 or another constant.

        Args:
          ref: the number.
          sign: the constant.
          base: the steps taken by now; each count has its own distance from it.
        """
        operations = needed(self._free(), [ref])
        program, values, counts = self.program, dict(self.values), self.counts

        def learning_rate(count: Any) -> Any:
            """The learning rate after so many steps."""
            ambient = jnp.result_type(float)
            with jax.enable_x64(True):
                at: dict[int, Any] = {program.slot(k): jnp.asarray(v) for k, v in values.items()}
                for k in counts:
                    distance = int(values[k]) - base
                    at[program.slot(k)] = jnp.asarray(count, values[k].dtype) + distance
                (value,) = run(operations, at, [ref])
                value = sign * value.astype(np.float64)
                return value.astype(ambient) if isinstance(value, jax.core.Tracer) else float(value)

        return learning_rate

    def _free(self) -> list[Operation]:
        return [op for op in self.program.operations if op.home == FREE]


def scalars(program: Program, state: Any) -> Scalars:
    """The numbers of a state: which count, and which stay.

    Raises:
      UnlikeError: a number does neither.
    """
    leaves = jax.tree.leaves(state)
    places = [k for k in program.new_slots if program.slots[k].home == FREE]
    values = {}
    for k in places:
        if not hasattr(leaves[k], "dtype") or jnp.issubdtype(leaves[k].dtype, jax.dtypes.prng_key):
            raise UnlikeError(_unsteady(program, k))
        values[k] = plain(leaves[k])
    homes = {out: op.home for op in program.operations for out in op.outputs}
    moving: dict[int, int] = {}
    for k in places:
        new = program.new_slots[k]
        if new == program.slot(k):
            continue
        whole = values[k].ndim == 0 and values[k].dtype.kind == "i"
        if isinstance(new, Constant) or homes.get(new, FREE) != FREE or not whole:
            raise UnlikeError(_unsteady(program, k))
        moving[k] = new
    all_counts = Scalars(program, values, tuple(moving))
    offsets = all_counts.offsets()
    news = all_counts.at(moving.values(), offsets)
    for k, new in moving.items():
        if not np.array_equal(news[new][:, 0], int(values[k]) + offsets + 1):
            raise UnlikeError(_unsteady(program, k))
    return all_counts


def _unsteady(program: Program, k: int) -> str:
    slot = program.slots[k]
    field = f"{slot.owner}.{slot.field}" if slot.owner else f"state{slot.path}"
    return f"its {field} is neither a count of steps nor a constant"


def needed(operations: Sequence[Operation], refs: Iterable[Ref]) -> list[Operation]:
    """The operations that make the values, in their order."""
    wanted = {ref for ref in refs if isinstance(ref, int)}
    chosen = []
    for op in reversed(operations):
        if wanted & set(op.outputs):
            chosen.append(op)
            wanted |= {i for i in op.inputs if isinstance(i, int)}
    return chosen[::-1]


def run(operations: Sequence[Operation], values: dict[int, Any], refs: Iterable[int]) -> list[Any]:
    """Runs the operations with JAX, on the values by their numbers."""
    values = dict(values)
    for op in operations:
        inputs = [jnp.asarray(i.value) if isinstance(i, Constant) else values[i] for i in op.inputs]
        outputs = op.primitive.bind(*inputs, **op.params)
        values |= zip(op.outputs, outputs if op.primitive.multiple_results else [outputs])
    return [values[ref] for ref in refs]


def _whole_numbers(op: Operation) -> Iterable[int]:
    """The whole numbers among an operation's constants that a count might be compared with."""
    for x in (i.value for i in op.inputs if isinstance(i, Constant)):
        if x.dtype.kind in "if" and x.size <= 1000:
            y = np.unique(x.astype(np.float64))
            yield from (int(v) for v in y if 0 <= v < 2**31 - 8 and v == int(v))
