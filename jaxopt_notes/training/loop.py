"""Runs stretches of steps on the device, one epoch at a time.

The device holds the data and the epoch's order; there a stretch gathers its batches and sums its
metrics. Where there are several devices, each holds its part of the epoch's batches instead. The
host waits once per stretch, for a few numbers.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxopt_notes.runtime.compilation import compile_in_thread, sooner
from jaxopt_notes.training.carry import packing
from jaxopt_notes.training.progress import Progress, Result, Sums, result_of, zero_sums
from jaxopt_notes.training.sharding import Layout
from jaxopt_notes.training.state import TrainState
from jaxopt_notes.training.step import Batch, Metrics

ALONE = Layout()  # one device

Stretch = Callable[..., tuple[TrainState, Sums]]


class DivergedError(ArithmeticError):
    """A loss or gradient became NaN or infinite at `step`, counted from 1."""

    def __init__(self, step: int) -> None:
        super().__init__(f"not finite at step {step}")
        self.step = step


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
    length: int | None = None,
) -> Stretch:
    """Traces a stretch with `trace_stretch` and compiles it."""
    return trace_stretch(step, state, data, order, on_nonfinite, layout, length)()


def trace_stretch(
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]],
    state: TrainState,
    data: Batch,
    order: jax.Array | None,
    on_nonfinite: str = "stop",
    layout: Layout = ALONE,
    length: int | None = None,
) -> Callable[[], Stretch]:
    """Traces `stretch(state, sums, data, order, start, stop) -> (state, sums)`.

    A stretch takes the steps start … stop − 1 of an epoch, whose order is int32 (steps, batch), and
    adds their metrics to the sums. One compilation serves stretches of any length. The state is
    donated.

    XLA's CPU backend runs a convolution inside a loop slowly, on one core. On a CPU, Python
    therefore loops over a step with convolutions. On a GPU, stretches of `length` steps have a
    program of their own, which does not ask the host before each step whether the loop goes on.

    Args:
      step: from `make_train_step`.
      state: an example of the training state, or its shapes from `layout.like`.
      data: the training set or, where there is no order, the batches, (steps, batch, …).
      order: an example of an epoch's order. `layout.epoch` returns both.
      on_nonfinite: what happens at a loss that is not finite. "stop" ends the stretch and leaves
        the state broken; "save" ends it with the state before that step; "skip" leaves the step
        out and goes on.
      layout: how everything but the sums is laid out on the devices, before and after.
      length: the usual number of steps in a stretch.

    Returns:
      A function that compiles the stretch and returns it.
    """
    one = one_step(step, on_nonfinite, layout)
    many = _loop_on_device(one, skip=on_nonfinite == "skip")
    if jax.config.jax_disable_jit:  # type: ignore[attr-defined] # for debugging a step
        return lambda: many
    args = (state, zero_sums(), data, order)
    index = np.int32(0)
    if length and not layout.mesh and jax.default_backend() == "gpu":
        fixed = jax.jit(loop_of_length(one, length), donate_argnums=0).lower(*args, index)
        return lambda: _by_length(length, fixed.compile(), jax.jit(many, donate_argnums=0))
    options = layout.step_shardings(state) | sooner()
    with layout.context():
        lowered = jax.jit(many, donate_argnums=0, **options).lower(*args, index, index)
        if not _convolves(lowered):
            return lowered.compile
        single = jax.jit(one, donate_argnums=0, **options).lower(*args, index)
    return lambda: _python_loop(single.compile(), layout)


def _python_loop(single: Callable[..., Any], layout: Layout) -> Stretch:
    """The stretch as a Python loop that calls a compiled step."""

    def loop(
        state: TrainState, sums: Sums, data: Batch, order: Any, start: int, stop: int
    ) -> tuple[TrainState, Sums]:
        for i in range(start, stop):
            state, sums = single(state, sums, data, order, np.int32(i))
            if layout.mesh:  # as in `begin_evaluation`
                jax.block_until_ready(sums)
        return state, sums

    return loop


def one_step(step: Callable[..., Any], on_nonfinite: str, layout: Layout) -> Callable[..., Any]:
    """`one(state, sums, data, order, i) -> (state, sums)`: step i of an epoch."""
    skip = on_nonfinite == "skip"

    def one(state: TrainState, sums: Sums, data: Batch, order: Any, i: Any) -> Any:
        rows = i if order is None else order[i]
        batch = Batch(*(x[rows] for x in data))
        new, metrics = step(state, batch)
        ok = jnp.isfinite(metrics.loss)
        if not skip:
            ok &= sums.failed == 0
        if on_nonfinite != "stop":
            old = state._replace(step=new.step) if skip else state
            new = jax.tree.map(lambda x, y: jnp.where(ok, x, y), new, old)
        return layout.pin(new), _add(sums, metrics, ok)

    return one


def _loop_on_device(one: Callable[..., Any], skip: bool) -> Callable[..., Any]:
    """`many(state, sums, data, order, start, stop) -> (state, sums)`: a loop over `one`."""

    def many(state: TrainState, sums: Sums, data: Batch, order: Any, start: Any, stop: Any) -> Any:
        def body(carry: Any) -> Any:
            i, state, sums = carry
            return i + 1, *one(state, sums, data, order, i)

        def unfinished(carry: Any) -> Any:
            i, _, sums = carry
            return (i < stop) & (skip | (sums.failed == 0))

        _, state, sums = lax.while_loop(unfinished, body, (start, state, sums))
        return state, sums

    return many


def loop_of_length(one: Callable[..., Any], length: int) -> Callable[..., Any]:
    """`many(state, sums, data, order, start) -> (state, sums)`: `length` steps, for a GPU.

    XLA knows the number of steps, so the host launches all of them without waiting for the device.
    A failed step does not end the loop; after the first failure `one` no longer changes the sums.

    One turn of the loop takes two steps: the second step writes where the first one has read, so
    nothing is copied. The barrier keeps XLA from computing both steps' small updates at the end of
    the turn.
    """

    def many(state: TrainState, sums: Sums, data: Batch, order: Any, start: Any) -> Any:
        pack, unpack = packing((state, sums))

        def body(i: Any, packed: list[jax.Array]) -> Any:
            return lax.optimization_barrier(pack(one(*unpack(packed), data, order, start + i)))

        return unpack(lax.fori_loop(0, length, body, pack((state, sums)), unroll=2))

    return many


def _by_length(length: int, fixed: Callable[..., Any], other: Callable[..., Any]) -> Stretch:
    def stretch(
        state: TrainState, sums: Sums, data: Batch, order: Any, start: int, stop: int
    ) -> tuple[TrainState, Sums]:
        if stop - start == length:
            return fixed(state, sums, data, order, start)
        return other(state, sums, data, order, start, stop)

    return stretch


def _convolves(lowered: jax.stages.Lowered) -> bool:
    return jax.default_backend() == "cpu" and "stablehlo.convolution" in lowered.as_text()


def run_epoch(
    stretch: Stretch,
    progress: Progress,
    data: Batch,
    order: jax.Array | None,
    stops: Iterable[int],
    on_nonfinite: str = "stop",
) -> Iterator[Progress]:
    """Takes the steps of one epoch, and yields the progress at each stop.

    Args:
      stretch: from `compile_stretch`.
      progress: where to begin; `Progress(state)` for the beginning of an epoch.
      data: from `layout.epoch`, which also returns the order.
      order: int32 (steps, batch), or None.
      stops: steps of the epoch at which a stretch ends, ascending.
      on_nonfinite: the value that the stretch was compiled with.

    Raises:
      DivergedError: the loss is not finite. With "save", the progress before that step is yielded
        first.
    """
    batch_size = (data.labels if order is None else order).shape[1]
    steps_before = progress.step - progress.step_in_epoch
    for stop in stops:
        start = progress.step_in_epoch
        state, sums = stretch(
            progress.state, progress.sums, data, order, np.int32(start), np.int32(stop)
        )
        if int(sums.failed) and on_nonfinite != "skip":
            last = start + (int(sums.examples) - int(progress.sums.examples)) // batch_size
            if on_nonfinite == "save":
                sums = sums._replace(failed=jnp.zeros_like(sums.failed))
                yield progress._replace(state=state, sums=sums, step_in_epoch=last)
            raise DivergedError(steps_before + last + 1)
        progress = progress._replace(state=state, sums=sums, step_in_epoch=stop)
        yield progress


class Padded(NamedTuple):
    """A set cut into equal batches; `real` marks the images of each batch that are not padding."""

    batches: tuple[Batch, ...]
    real: tuple[jax.Array, ...]


def pad(images: np.ndarray, labels: np.ndarray, batch_size: int, layout: Layout = ALONE) -> Padded:
    """Cuts a set into batches on the devices; blank images fill up the last one.

    A batch has `batch_size` images, or a few more, so that each device gets equally many.
    """
    size = len(labels)
    batch_size = -(-min(batch_size, size) // layout.devices) * layout.devices
    missing = -size % batch_size

    def cut(x: np.ndarray) -> list[jax.Array]:
        x = np.concatenate([x, np.zeros((missing, *x.shape[1:]), x.dtype)])
        return [layout.cut(part, axis=0) for part in np.split(x, len(x) // batch_size)]

    batches = map(Batch, cut(images), cut(labels))
    return Padded(tuple(batches), tuple(cut(np.ones(size, bool))))


def begin_evaluation(
    eval_step: Callable[..., Metrics], state: TrainState, data: Padded, layout: Layout = ALONE
) -> Callable[[Any, Any], Result]:
    """Traces the evaluation of a whole set, and has a thread compile it.

    Args:
      eval_step: from `make_eval_step`.
      state: an example of a state, whose parameters are evaluated.
      data: the set.
      layout: how the set and the parameters are laid out.

    Returns:
      `evaluate(params, batch_stats)`: loss and accuracy; NaN if the loss of one batch is NaN. The
      first call waits for the thread.
    """
    example = state.params, state.batch_stats, data.batches[0], data.real[0]
    compiled = compile_in_thread(layout.lower(eval_step, *example).compile)

    def evaluate(params: Any, batch_stats: Any) -> Result:
        step = compiled.result()
        # Wait for each batch: on a CPU, programs that run at the same time would block the threads
        # that its devices share.
        each = [
            jax.device_get(step(params, batch_stats, batch, real))
            for batch, real in zip(data.batches, data.real)
        ]
        loss, correct, examples = (sum(column) for column in zip(*each))
        return result_of(loss, correct, examples)

    return evaluate
