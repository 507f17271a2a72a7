"""The numbers that a program shares among its parameters: step counts, learning rates, constants.

A number of the state either counts the steps or never changes. So every other value that the
program computes without gradients and parameters is a function of the steps taken. It can be
evaluated at any step, from the first to distant ones.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.transfer.recognition.numbers import plain
from jaxopt_notes.transfer.recognition.program import FREE, Constant, Operation, Program, Ref
from jaxopt_notes.transfer.recognition.reasons import UnlikeError

AHEAD = 40  # the number of next steps that are all probed
_FAR = tuple(10**k for k in range(2, 9))


class Scalars(NamedTuple):
    """The numbers of a program, and how they change from step to step.

    Attributes:
      program: whose they are.
      values: the state's current numbers, by their place in the state.
      counts: the places of the step counts.
      offsets: (K,), the probed steps, relative to the current step.
      columns: each number that a parameter array uses, by its index in the program, (K, 1).
    """

    program: Program
    values: dict[int, np.ndarray]
    counts: tuple[int, ...]
    offsets: np.ndarray
    columns: dict[int, np.ndarray]

    def counts_below(self, refs: Iterable[int]) -> list[int]:
        """The counts that numbers of the program depend on."""
        wanted = list(refs)
        below = {
            i for op in needed(_free(self.program), wanted) for i in op.inputs if isinstance(i, int)
        }
        return [k for k in self.counts if self.program.slot(k) in below | set(wanted)]

    def function(self, ref: int, sign: float, base: int) -> Callable[[Any], Any]:
        """A number of the program as a function of the steps taken, times a constant such as ±1.

        Args:
          ref: the number.
          sign: the constant.
          base: the steps taken so far; each count has a fixed distance from it.
        """
        operations = needed(_free(self.program), [ref])
        program, values, counts = self.program, dict(self.values), self.counts

        def learning_rate(count: Any) -> Any:
            """The learning rate after the given number of steps."""
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


def scalars(program: Program, state: Any, offsets: np.ndarray | None = None) -> Scalars:
    """The numbers of a state, divided into step counts and constants.

    Args:
      program: whose they are.
      state: the state with its current numbers.
      offsets: the steps to probe, relative to the current step (default: chosen by `_offsets`).

    Raises:
      UnlikeError: a number neither counts nor stays constant, or is not finite within the next
        steps.
    """
    leaves = jax.tree.leaves(state)
    places = [k for k in program.new_slots if program.slots[k].home == FREE]
    values = {}
    for k in places:
        if not hasattr(leaves[k], "dtype") or jnp.issubdtype(leaves[k].dtype, jax.dtypes.prng_key):
            raise UnlikeError(_unsteady(program, k))
        values[k] = plain(leaves[k])
    moving = {k: _moved(program, k, values[k]) for k in places if _moves(program, k)}
    if offsets is None:
        offsets = _offsets(program, [int(values[k]) for k in moving] or [0])
    shared = _shared(program)
    numbers = _at(program, values, moving, offsets, {*shared, *moving.values()})
    for k, new in moving.items():
        if not np.array_equal(numbers[new][:, 0], int(values[k]) + offsets + 1):
            raise UnlikeError(_unsteady(program, k))
    finite = np.all([np.isfinite(numbers[i][:, 0]) for i in shared] or [offsets == offsets], axis=0)
    if not finite[:AHEAD].all():
        raise UnlikeError(f"one of its numbers is not finite within the next {AHEAD} steps")
    columns = {i: numbers[i][finite] for i in sorted(shared)}
    return Scalars(program, values, tuple(moving), offsets[finite], columns)


def _moves(program: Program, k: int) -> bool:
    return program.new_slots[k] != program.slot(k)


def _moved(program: Program, k: int, value: np.ndarray) -> int:
    """The new value of a state number that seems to count."""
    new = program.new_slots[k]
    homes = {out: op.home for op in program.operations for out in op.outputs}
    whole = value.ndim == 0 and value.dtype.kind == "i"
    if isinstance(new, Constant) or homes.get(new, FREE) != FREE or not whole:
        raise UnlikeError(_unsteady(program, k))
    return new


def _offsets(program: Program, bases: Sequence[int]) -> np.ndarray:
    """The steps to probe, relative to the current step; past steps are negative.

    They are the next steps, the first steps, some distant steps, and the steps around each whole
    number in the program, where a schedule may change.
    """
    marks = {m for op in _free(program) for m in _whole_numbers(op)}
    at = {m + d for m in marks for d in (-1, 0, 1)} | {0, 1, 2, *_FAR}
    low, high = -min(bases), 2**31 - 4 - max(bases)
    others = {a - base for a in at for base in bases} - set(range(AHEAD))
    return np.array([*range(AHEAD), *sorted(o for o in others if low <= o < high)])


def _shared(program: Program) -> set[int]:
    """The numbers that the parameter arrays use."""
    free = {out for op in _free(program) for out in op.outputs}
    free |= {program.slot(k) for k in program.new_slots if program.slots[k].home == FREE}
    owned = [op for op in program.operations if op.home != FREE]
    refs = [i for op in owned for i in op.inputs] + list(program.updates)
    refs += [new for k, new in program.new_slots.items() if program.slots[k].home != FREE]
    return {ref for ref in refs if isinstance(ref, int)} & free


def _at(
    program: Program,
    values: Mapping[int, np.ndarray],
    counts: Iterable[int],
    offsets: np.ndarray,
    refs: Iterable[int],
) -> dict[int, np.ndarray]:
    """Numbers of the program at the given steps, relative to the current step."""
    wanted = sorted(refs)
    counting = [program.slot(k) for k in counts]
    operations = needed(_free(program), wanted)

    def one(offset: Any) -> list[Any]:
        at: dict[int, Any] = {program.slot(k): jnp.asarray(v) for k, v in values.items()}
        for i in counting:
            at[i] = at[i] + offset.astype(at[i].dtype)
        return run(operations, at, wanted)

    with jax.enable_x64(True):
        results = jax.jit(jax.vmap(one))(jnp.asarray(offsets)) if wanted else []
    return {i: np.asarray(x)[:, None] for i, x in zip(wanted, results)}


def _free(program: Program) -> list[Operation]:
    return [op for op in program.operations if op.home == FREE]


def _unsteady(program: Program, k: int) -> str:
    slot = program.slots[k]
    field = f"{slot.owner}.{slot.field}" if slot.owner else f"state{slot.path}"
    return f"its {field} is neither a count of steps nor a constant"


def needed(operations: Sequence[Operation], refs: Iterable[Ref]) -> list[Operation]:
    """The operations that compute the values, in order."""
    wanted = {ref for ref in refs if isinstance(ref, int)}
    chosen = []
    for op in reversed(operations):
        if wanted & set(op.outputs):
            chosen.append(op)
            wanted |= {i for i in op.inputs if isinstance(i, int)}
    return chosen[::-1]


def run(operations: Sequence[Operation], values: dict[int, Any], refs: Iterable[int]) -> list[Any]:
    """Runs the operations with JAX, on values by their indices."""
    values = dict(values)
    for op in operations:
        inputs = [jnp.asarray(i.value) if isinstance(i, Constant) else values[i] for i in op.inputs]
        outputs = op.primitive.bind(*inputs, **op.params)
        values |= zip(op.outputs, outputs if op.primitive.multiple_results else [outputs])
    return [values[ref] for ref in refs]


def _whole_numbers(op: Operation) -> Iterable[int]:
    """The whole-number constants of an operation with which a count might be compared."""
    for x in (i.value for i in op.inputs if isinstance(i, Constant)):
        if x.dtype.kind in "if" and x.size <= 1000:
            y = np.unique(x.astype(np.float64))
            yield from (int(v) for v in y if 0 <= v < 2**31 - 8 and v == int(v))
