"""Trains epoch by epoch: stretches of steps, then the test set, then the epoch's row of metrics."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import jax

from jaxopt_notes.data import epoch_order
from jaxopt_notes.runtime.compilation import compile_in_thread
from jaxopt_notes.training import adam_to_sgd, watching
from jaxopt_notes.training.drawing import Drawing, begin_drawing
from jaxopt_notes.training.evaluation import EVAL_BATCH
from jaxopt_notes.training.loop import (
    DivergedError,
    Stretch,
    begin_evaluation,
    pad,
    run_epoch,
    trace_stretch,
)
from jaxopt_notes.training.progress import EpochRow, Progress, zero_sums
from jaxopt_notes.training.setup import Setup
from jaxopt_notes.training.state import TrainState
from jaxopt_notes.training.step import Batch, make_eval_step, make_train_step

STRETCHES = 25  # per epoch; the progress bar moves after each
LONGEST_STRETCH = 200  # steps; a signal waits for the end of a stretch


class Steps(NamedTuple):
    """The training steps, traced but not compiled yet, and the training set.

    Attributes:
      train_set: from `layout.hold`.
      compile: compiles and returns the stretch of steps.
    """

    train_set: Batch
    compile: Callable[[], Stretch]


def first_progress(setup: Setup) -> Progress:
    """The progress before the first step."""
    return Progress(_drawn(setup, _begin_drawing(setup)))


def begin(setup: Setup) -> tuple[Progress, Steps]:
    """The progress before the first step, and the steps; compiles the first state's program
    while it traces the steps.
    """
    drawing = _begin_drawing(setup)
    steps = trace_steps(setup, setup.layout.like(drawing.shapes))
    return Progress(_drawn(setup, drawing)), steps


def _begin_drawing(setup: Setup) -> Drawing:
    return begin_drawing(setup.make, setup.optimizer, averaged=setup.config.ema is not None)


def _drawn(setup: Setup, drawing: Drawing) -> TrainState:
    return setup.layout.place(drawing.state(setup.config.seed))


def trace_steps(setup: Setup, state: TrainState) -> Steps:
    """Traces the training steps.

    Args:
      setup: from `prepare`.
      state: the training state, or its shapes from `layout.like`.
    """
    config, layout = setup.config, setup.layout
    train_set = layout.hold(setup.data.train_images, setup.data.train_labels)
    step = make_train_step(
        setup.model,
        setup.optimizer,
        setup.normalize,
        config.shift,
        config.ema,
        check_gradients=config.on_nonfinite != "stop",
        label_smoothing=config.label_smoothing,
    )
    like = layout.epoch_like(train_set, (setup.steps_per_epoch, config.batch_size))
    length = _stretch_length(setup.steps_per_epoch)
    stretch = trace_stretch(step, state, *like, config.on_nonfinite, layout, length)
    return Steps(train_set, stretch)


def train(
    setup: Setup, progress: Progress, steps: Steps, extra_stops: Sequence[int] = ()
) -> Iterator[tuple[Progress, EpochRow | None]]:
    """Trains to the last epoch, and yields after each stretch of steps.

    Args:
      setup: from `prepare`.
      progress: where to begin.
      steps: from `begin` or `trace_steps`.
      extra_stops: more steps that end a stretch, counted since the training began.

    Yields:
      The progress, and the row of the epoch that has just ended or, within an epoch, None.

    Raises:
      DivergedError: the loss is not finite. With `on_nonfinite` "save", the progress before that
        step is yielded first.
    """
    config, layout, labels = setup.config, setup.layout, setup.data.train_labels
    start = time.perf_counter() - progress.seconds
    compiling = compile_in_thread(steps.compile)  # while this thread traces the evaluation
    test, read = _tester(setup, progress.state), watching.reader(layout.jit)

    def batches_of(epoch: int) -> tuple[Batch, jax.Array | None]:
        return layout.epoch(
            steps.train_set, epoch_order(config.seed, epoch, len(labels), config.batch_size)
        )

    stretch = compiling.result()
    while progress.epoch < config.epochs:
        batches = batches_of(progress.epoch)
        stops = _stops(setup, progress, extra_stops)
        stretches = run_epoch(stretch, progress, *batches, stops, config.on_nonfinite)
        for progress in stretches:
            if progress.step_in_epoch < setup.steps_per_epoch:
                progress = progress._replace(seconds=time.perf_counter() - start)
                yield progress, None
        tested = test(progress.state)
        if not math.isfinite(tested["test_loss"]):
            raise DivergedError(progress.step)
        progress = progress._replace(seconds=time.perf_counter() - start)
        row = _row(setup, progress, tested, read(progress.state.opt_state))
        rows = (*progress.rows, row)
        progress = progress._replace(sums=zero_sums(), step_in_epoch=0, rows=rows)
        yield progress, row


def _row(
    setup: Setup, progress: Progress, tested: dict[str, float], watched: dict[str, Any]
) -> EpochRow:
    """The metrics of the epoch that has just ended."""
    config, total = setup.config, setup.steps_per_epoch * setup.config.epochs
    row = {
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "seconds": round(progress.seconds, 3),
        "train_loss": progress.result.loss,
        "train_accuracy": progress.result.accuracy,
        **tested,
        **({"skipped": int(progress.sums.failed)} if config.on_nonfinite == "skip" else {}),
        **adam_to_sgd.describe(config, total, progress.state.opt_state),
        **watched,
    }
    return cast(EpochRow, row)


def _stretch_length(steps: int) -> int:
    """The usual number of steps in a stretch."""
    return min(max(1, steps // STRETCHES), LONGEST_STRETCH)


def _stops(setup: Setup, progress: Progress, extra_stops: Sequence[int]) -> list[int]:
    """The remaining steps of the current epoch that end a stretch."""
    steps, before = setup.steps_per_epoch, progress.step - progress.step_in_epoch
    length = _stretch_length(steps)
    stops = {*range(length, steps, length), steps}
    stops |= {step - before for step in extra_stops if before < step <= before + steps}
    if every := setup.config.checkpoint_every.steps:
        stops |= {step for step in range(1, steps) if (before + step) % every == 0}
    return sorted(stop for stop in stops if stop > progress.step_in_epoch)


def _tester(setup: Setup, state: TrainState) -> Callable[[TrainState], dict[str, float]]:
    """Evaluates the test set for a row: with the parameters and, where it exists, their average."""
    data = setup.data
    test_set = pad(data.test_images, data.test_labels, EVAL_BATCH, setup.layout)
    eval_step = make_eval_step(setup.model, setup.normalize)
    evaluate = begin_evaluation(eval_step, state, test_set, setup.layout)

    def test(state: TrainState) -> dict[str, float]:
        row: dict[str, float] = {}
        for name, params in (("test", state.params), ("ema_test", state.ema)):
            if params != ():
                result = evaluate(params, state.batch_stats)
                row |= {f"{name}_loss": result.loss, f"{name}_accuracy": result.accuracy}
        return row

    return test
