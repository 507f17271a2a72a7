"""The driver: runs stretches of steps on the device, an epoch at a time.

The data lies on the device, and so does the epoch's order; a stretch gathers its batches there and
sums its metrics there. Several devices have their parts of an epoch's batches instead, in order.
The host waits once a stretch, for three numbers.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxopt_notes.runtime.compilation import sooner
from jaxopt_notes.training.sharding import Layout
from jaxopt_notes.training.state import TrainState
from jaxopt_notes.training.step import Batch, Metrics

ALONE = Layout()  # on one device

Stretch = Callable[..., tuple[TrainState, "Sums"]]


class DivergedError(ArithmeticError):
    """A loss or gradient became NaN or infinite at `step`, counted from 1."""

    def __init__(self, step: int) -> None:
        super().__init__(f"not finite at step {step}")
        self.step = step


class Sums(NamedTuple):
    """What the steps of an epoch add up to; steps that were not finite are counted, not added."""

    loss: jax.Array  # float32, nats
    correct: jax.Array  # int32
    examples: jax.Array  # int32
    failed: jax.Array  # int32, steps


def zero_sums() -> Sums:
    """The sums before any step."""
    loss: Any = np.float32(0)  # on no device: any layout takes it
    count: Any = np.int32(0)
    return Sums(loss, count, count, count)


def _add(total: Sums, new: Metrics, ok: jax.Array) -> Sums:
    loss, correct, examples = (jnp.where(ok, x + y, x) for x, y in zip(total[:3], new))
    return Sums(loss, correct, examples, total.failed + ~ok)


def compile_stretch(
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]],
    state: TrainState,
    data: Batch,
    order: jax.Array | None,
    on_nonfinite: str = "stop",
    layout: Layout = ALONE,
) -> Stretch:
    """Compiles `stretch(state, sums, data, order, start, stop) -> (state, sums)`.

    It takes the steps start … stop − 1 of an epoch, whose order is int32 (steps, batch), and adds
    to the sums. One compilation serves stretches of any length. The state is donated.

    XLA's CPU backend runs convolutions inside a loop on one core and slowly, so where the step has
    convolutions there, the loop is Python's instead.

    Args:
      step: from `make_train_step`.
      state: an example of what it carries.
      data: the training set; without an order the batches, (steps, batch, …).
      order: an example of an epoch's order. Both as `layout.epoch` gives them.
      on_nonfinite: at a loss that is not finite the stretch ends early, with the state broken
        ("stop") or as it was before that step ("save"); or that step is left out ("skip").
      layout: how all but the sums lie on the devices, before and after.
    """
    goes_on = on_nonfinite == "skip"

    def one(state: TrainState, sums: Sums, data: Batch, order: Any, i: Any) -> Any:
        rows = i if order is None else order[i]
        batch = Batch(*(x[rows] for x in data))
        new, metrics = step(state, batch)
        ok = jnp.isfinite(metrics.loss)
        if not goes_on:
            ok &= sums.failed == 0
        if on_nonfinite != "stop":
            kept = state._replace(step=new.step) if goes_on else state
            new = jax.tree.map(lambda x, y: jnp.where(ok, x, y), new, kept)
        return layout.pin(new), _add(sums, metrics, ok)

    def many(state: TrainState, sums: Sums, data: Batch, order: Any, start: Any, stop: Any) -> Any:
        def body(carry: Any) -> Any:
            i, state, sums = carry
            return i + 1, *one(state, sums, data, order, i)

        def unfinished(carry: Any) -> Any:
            i, _, sums = carry
            return (i < stop) & (goes_on | (sums.failed == 0))

        _, state, sums = lax.while_loop(unfinished, body, (start, state, sums))
        return state, sums

    args = (state, zero_sums(), data, order)
    index = np.int32(0)
    options = layout.step_shardings(state) | sooner()
    with layout.context():
        lowered = jax.jit(many, donate_argnums=0, **options).lower(*args, index, index)
        if not _convolves(lowered):
            return lowered.compile()

        single = jax.jit(one, donate_argnums=0, **options).lower(*args, index).compile()

    def python_loop(
        state: TrainState, sums: Sums, data: Batch, order: Any, start: int, stop: int
    ) -> tuple[TrainState, Sums]:
        for i in range(start, stop):
            state, sums = single(state, sums, data, order, np.int32(i))
            if layout.mesh:  # as in `evaluate`
                jax.block_until_ready(sums)
        return state, sums

    return python_loop


def _convolves(lowered: jax.stages.Lowered) -> bool:
    return jax.default_backend() == "cpu" and "stablehlo.convolution" in lowered.as_text()


class Result(NamedTuple):
    """Means over the examples so far; NaN before any."""

    loss: float
    accuracy: float
    examples: int


def _result(loss: Any, correct: Any, examples: Any) -> Result:
    loss, correct, examples = float(loss), int(correct), int(examples)
    if not examples:
        return Result(float("nan"), float("nan"), 0)
    return Result(loss / examples, correct / examples, examples)


class Reached(NamedTuple):
    """Where an epoch stands after a stretch: its next step, the state, and the sums so far.

    The state is gone once the next stretch starts.
    """

    next: int
    state: TrainState
    sums: Sums

    @property
    def result(self) -> Result:
        """The means so far."""
        return _result(*self.sums[:3])


def run_epoch(
    stretch: Stretch,
    reached: Reached,
    data: Batch,
    order: jax.Array | None,
    stops: Iterable[int],
    on_nonfinite: str = "stop",
) -> Iterator[Reached]:
    """Takes the steps of one epoch, and yields at each stop.

    Args:
      stretch: from `compile_stretch`.
      reached: where to begin; `begin(state)` for the epoch's beginning.
      data: from `layout.epoch`, as is the order.
      order: int32 (steps, batch), or None.
      stops: ascending steps of the epoch, each a stretch's end.
      on_nonfinite: as the stretch was compiled with.

    Raises:
      DivergedError: the loss is not finite. With "save" the state before that step comes first.
    """
    batch_size = (data.labels if order is None else order).shape[1]
    before = int(reached.state.step) - reached.next
    for stop in stops:
        state, sums = stretch(
            reached.state, reached.sums, data, order, np.int32(reached.next), np.int32(stop)
        )
        if int(sums.failed) and on_nonfinite != "skip":
            taken = (int(sums.examples) - int(reached.sums.examples)) // batch_size
            at = reached.next + taken
            if on_nonfinite == "save":
                yield Reached(at, state, sums._replace(failed=jnp.zeros_like(sums.failed)))
            raise DivergedError(before + at + 1)
        reached = Reached(stop, state, sums)
        yield reached


def begin(state: TrainState) -> Reached:
    """The beginning of an epoch."""
    return Reached(0, state, zero_sums())


class Padded(NamedTuple):
    """A set cut into equal batches, in each of which `real` marks what is no padding."""

    batches: tuple[Batch, ...]
    real: tuple[jax.Array, ...]


def pad(images: np.ndarray, labels: np.ndarray, batch_size: int, layout: Layout = ALONE) -> Padded:
    """Cuts a set into batches on the devices; the last is filled up with blank images.

    A batch is of `batch_size` images, or of a few more where the devices share them evenly then.
    """
    size = len(labels)
    batch_size = -(-min(batch_size, size) // layout.devices) * layout.devices
    missing = -size % batch_size

    def cut(x: np.ndarray) -> list[jax.Array]:
        x = np.concatenate([x, np.zeros((missing, *x.shape[1:]), x.dtype)])
        return [layout.cut(part, axis=0) for part in np.split(x, len(x) // batch_size)]

    batches = map(Batch, cut(images), cut(labels))
    return Padded(tuple(batches), tuple(cut(np.ones(size, bool))))


def evaluate(
    eval_step: Callable[..., Metrics], params: Any, batch_stats: Any, data: Padded
) -> Result:
    """Loss and accuracy on a whole set, by a jitted evaluation step; NaN where a loss is."""
    # Each is awaited: a CPU's devices share the threads that programs under way would hold.
    each = [
        jax.device_get(eval_step(params, batch_stats, batch, real))
        for batch, real in zip(data.batches, data.real)
    ]
    loss, correct, examples = (sum(column) for column in zip(*each))
    return _result(loss, correct, examples)
