"""The driver: runs stretches of steps on the device, an epoch at a time.

The data lies on the device, and so does the epoch's order; a stretch gathers its batches there and
sums its metrics there. The host waits once a stretch, for three numbers.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxopt_notes.training.mesh import Layout
from jaxopt_notes.training.state import TrainState
from jaxopt_notes.training.step import Batch, Metrics

ALONE = Layout()  # on one device

Stretch = Callable[..., tuple[TrainState, Metrics]]


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite at `step`, counted from 1."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


def zero_metrics() -> Metrics:
    """The sums before any example."""
    loss: Any = np.float32(0)  # on no device: any layout takes it
    count: Any = np.int32(0)
    return Metrics(loss, count, count)


def _add(total: Metrics, new: Metrics) -> Metrics:
    """The sums; `examples` stands still from the first loss on that is not finite."""
    loss = total.loss + new.loss
    examples = jnp.where(jnp.isfinite(loss), new.examples, 0)
    return Metrics(loss, total.correct + new.correct, total.examples + examples)


def compile_stretch(
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]],
    state: TrainState,
    data: Batch,
    order: jax.Array,
    layout: Layout = ALONE,
) -> Stretch:
    """Compiles `stretch(state, metrics, data, order, start, stop) -> (state, metrics)`.

    It takes the steps start … stop − 1 of an epoch, whose order is int32 (steps, batch), adds to
    the metrics, and ends early at a loss that is not finite. One compilation serves stretches of
    any length. The state is donated. All but the metrics lie as `layout` puts them.

    XLA's CPU backend runs convolutions inside a loop on one core and slowly, so where the step has
    convolutions there, the loop is Python's instead.
    """

    def one(state: TrainState, metrics: Metrics, data: Batch, order: jax.Array, i: Any) -> Any:
        batch = Batch(*(x[order[i]] for x in data))
        state, new = step(state, batch)
        return state, _add(metrics, new)

    def many(
        state: TrainState, metrics: Metrics, data: Batch, order: jax.Array, start: Any, stop: Any
    ) -> Any:
        def body(carry: Any) -> Any:
            i, state, metrics = carry
            return i + 1, *one(state, metrics, data, order, i)

        def unfinished(carry: Any) -> Any:
            i, _, metrics = carry
            return (i < stop) & jnp.isfinite(metrics.loss)

        _, state, metrics = lax.while_loop(unfinished, body, (start, state, metrics))
        return state, metrics

    args = (state, zero_metrics(), data, order)
    index = np.int32(0)
    kept = layout.step_shardings(state)
    with layout.context():
        lowered = jax.jit(many, donate_argnums=0, **kept).lower(*args, index, index)
        if not _convolves(lowered):
            return lowered.compile()

        single = jax.jit(one, donate_argnums=0, **kept).lower(*args, index).compile()

    def python_loop(
        state: TrainState, metrics: Metrics, data: Batch, order: jax.Array, start: int, stop: int
    ) -> tuple[TrainState, Metrics]:
        for i in range(start, stop):
            state, metrics = single(state, metrics, data, order, np.int32(i))
        return state, metrics

    return python_loop


def _convolves(lowered: jax.stages.Lowered) -> bool:
    return jax.default_backend() == "cpu" and "stablehlo.convolution" in lowered.as_text()


class Result(NamedTuple):
    """Means over the examples so far."""

    loss: float
    accuracy: float
    examples: int


def _result(metrics: Metrics) -> Result:
    loss, correct, examples = float(metrics.loss), int(metrics.correct), int(metrics.examples)
    return Result(loss / examples, correct / examples, examples)


def run_epoch(
    stretch: Stretch, state: TrainState, data: Batch, order: np.ndarray, length: int
) -> Iterator[tuple[TrainState, Result]]:
    """Takes the steps of one epoch, `length` at a time, and yields after each stretch.

    The state that it is given, and each that it yields, is gone once the next stretch starts.

    Raises:
      DivergedError: the loss is not finite.
    """
    before = int(state.step)
    on_device = jnp.asarray(order)
    metrics = zero_metrics()
    for start in range(0, len(order), length):
        stop = min(start + length, len(order))
        state, metrics = stretch(state, metrics, data, on_device, np.int32(start), np.int32(stop))
        if not np.isfinite(float(metrics.loss)):
            raise DivergedError(before + int(metrics.examples) // order.shape[1] + 1)
        yield state, _result(metrics)


class Padded(NamedTuple):
    """A set cut into equal batches: (batches, batch, …), with padding marked in `real`."""

    batches: Batch
    real: jax.Array


def pad(images: np.ndarray, labels: np.ndarray, batch_size: int, layout: Layout = ALONE) -> Padded:
    """Cuts a set into batches on the devices; the last is filled up with blank images.

    A batch is of `batch_size` images, or of a few more where the devices share them evenly then.
    """
    size = len(labels)
    batch_size = -(-min(batch_size, size) // layout.devices) * layout.devices
    missing = -size % batch_size

    def cut(x: np.ndarray) -> jax.Array:
        x = np.concatenate([x, np.zeros((missing, *x.shape[1:]), x.dtype)])
        return layout.cut(x.reshape(-1, batch_size, *x.shape[1:]), axis=1)

    return Padded(Batch(cut(images), cut(labels)), cut(np.ones(size, bool)))


def evaluate(eval_step: Callable[..., Metrics], state: TrainState, data: Padded) -> Result:
    """Loss and accuracy on a whole set, by a jitted evaluation step."""
    total = zero_metrics()
    for i in range(len(data.real)):
        batch = Batch(*(x[i] for x in data.batches))
        total = _add(total, eval_step(state.params, state.batch_stats, batch, data.real[i]))
    if not int(total.examples):  # not even the first batch has a finite loss
        return Result(float("nan"), 0.0, 0)
    return _result(total)
