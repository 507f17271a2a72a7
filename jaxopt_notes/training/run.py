"""A run from its settings: data, network, optimizer, driver, and the row of each epoch."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import optax

from jaxopt_notes import optimizers
from jaxopt_notes.config.settings import Asked, Settings, resolve, setting, validate
from jaxopt_notes.data import Dataset, epoch_order, load
from jaxopt_notes.errors import InputError
from jaxopt_notes.models import PureModel, pure
from jaxopt_notes.runtime.compilation import keep_compiled, sooner
from jaxopt_notes.training import adam_to_sgd
from jaxopt_notes.training.loop import (
    DivergedError,
    Reached,
    Result,
    Sums,
    begin,
    compile_stretch,
    evaluate,
    pad,
    run_epoch,
    zero_sums,
)
from jaxopt_notes.training.network import build_network
from jaxopt_notes.training.schedules import schedule
from jaxopt_notes.training.sharding import Layout, make_layout, split_cpu
from jaxopt_notes.training.state import TrainState, create
from jaxopt_notes.training.step import (
    Batch,
    Normalization,
    make_eval_step,
    make_train_step,
    normalization_of,
)

EVAL_BATCH = 1000
STRETCHES = 25  # an epoch: as often as progress is shown
LONGEST_STRETCH = 200  # steps: how long a signal may have to wait


class Run(NamedTuple):
    """Everything that a run is made of, before its first step."""

    config: Settings
    data: Dataset
    network: Any  # the CNN or MLP that `model` is made of
    model: PureModel
    optimizer: optax.GradientTransformation
    normalize: Normalization
    steps_per_epoch: int
    layout: Layout


def prepare(asked: Asked) -> Run:
    """Makes the choices that the settings leave open, and loads the data.

    Args:
      asked: the settings that are asked for, by name.

    Raises:
      InputError: a setting is wrong, or the data cannot be had; nothing has been written.
    """
    validate(asked)
    data = load(*(setting(asked, name) for name in ("dataset", "data_dir", "image_size")))
    size = len(data.train_labels)
    config = resolve(asked, size)
    if config.batch_size > size:
        raise InputError(
            f"--batch-size {config.batch_size}: larger than the data; give 1 to {size}"
        )
    if config.dataset == "auto":
        config = replace(config, dataset=data.name)
    keep_compiled(config.compilation_cache)
    split_cpu(config.mesh, config.batch_size, convolves=config.model == "cnn")
    layout = make_layout(config.mesh, config.batch_size, config.shard_optimizer_state)
    steps = size // config.batch_size
    network = build_network(config, data.train_images.shape[1:], len(data.class_names))
    return Run(
        config,
        data,
        network,
        pure(network),
        layout.optimizer(build_optimizer(config, steps * config.epochs)),
        normalization_of(data.train_images),
        steps,
        layout,
    )


def build_optimizer(config: Settings, steps: int) -> optax.GradientTransformation:
    """The optimizer with its schedule over `steps` steps.

    Raises:
      InputError: a hyper-parameter is refused by the optimizer, or its switch is not in the run.
    """
    rate = schedule(config.schedule, config.learning_rate, steps, config.warmup)
    given = adam_to_sgd.arguments(config, steps)
    try:
        optimizer = getattr(optimizers, config.optimizer.replace("-", "_"))(rate, **given)
    except (TypeError, ValueError) as error:
        raise InputError(f"--optimizer {config.optimizer}: {error}") from error
    if config.clip_norm is None:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)


class Position(NamedTuple):
    """Where a run stands: all that it needs to go on from there as if it had not been left.

    Attributes:
      state: what a step carries; its memory is used again by the next stretch.
      sums: of the epoch under way.
      epoch: how many epochs are finished.
      in_epoch: how many steps of the next one are taken.
      seconds: spent so far.
    """

    state: TrainState
    sums: Sums
    epoch: int
    in_epoch: int
    seconds: float


class Moment(NamedTuple):
    """A run after a stretch: its position, the epoch's means so far, and its row at its end."""

    position: Position
    result: Result
    row: dict[str, Any] | None


def first_position(run: Run) -> Position:
    """The position before the first step."""
    config = run.config
    key = jax.random.key(config.seed)
    state = create(run.model, run.optimizer, key, averaged=config.ema is not None)
    return Position(run.layout.place(state), zero_sums(), 0, 0, 0.0)


def train(run: Run, position: Position, also_stop: Sequence[int] = ()) -> Iterator[Moment]:
    """Trains to the last epoch, and yields after each stretch of steps.

    Args:
      run: from `prepare`.
      position: where to begin.
      also_stop: steps of the run that shall end a stretch too.

    Raises:
      DivergedError: the loss is not finite; with `on_nonfinite` "save", the position before that
        step has been yielded.
    """
    config, data, layout = run.config, run.data, run.layout
    start = time.perf_counter() - position.seconds
    train_set = layout.hold(data.train_images, data.train_labels)
    test = _tester(run)
    step = make_train_step(
        run.model,
        run.optimizer,
        run.normalize,
        config.shift,
        config.ema,
        check_gradients=config.on_nonfinite != "stop",
    )

    def batches_of(epoch: int) -> tuple[Batch, jax.Array | None]:
        order = epoch_order(config.seed, epoch, len(data.train_labels), config.batch_size)
        return layout.epoch(train_set, order)

    stretch = compile_stretch(step, position.state, *batches_of(0), config.on_nonfinite, layout)
    total = run.steps_per_epoch * config.epochs
    reached = Reached(position.in_epoch, position.state, position.sums)
    for epoch in range(position.epoch, config.epochs):
        before = int(reached.state.step) - reached.next
        stops = [s for s in _stops(run, before, also_stop) if s > reached.next]
        stretches = run_epoch(stretch, reached, *batches_of(epoch), stops, config.on_nonfinite)
        for reached in stretches:
            if reached.next < run.steps_per_epoch:
                seconds = time.perf_counter() - start
                where = Position(reached.state, reached.sums, epoch, reached.next, seconds)
                yield Moment(where, reached.result, None)
        state, result = reached.state, reached.result
        tested = test(state)
        if not math.isfinite(tested["test_loss"]):
            raise DivergedError(int(state.step))
        seconds = time.perf_counter() - start
        row = {
            "epoch": epoch + 1,
            "step": int(state.step),
            "seconds": round(seconds, 3),
            "train_loss": result.loss,
            "train_accuracy": result.accuracy,
            **tested,
            **({"skipped": int(reached.sums.failed)} if config.on_nonfinite == "skip" else {}),
            **adam_to_sgd.describe(config, total, state.opt_state),
        }
        reached = begin(state)
        yield Moment(Position(state, reached.sums, epoch + 1, 0, seconds), result, row)


def _stops(run: Run, before: int, also: Sequence[int]) -> list[int]:
    """The steps of an epoch that end a stretch; `before` it the run had taken so many."""
    steps = run.steps_per_epoch
    length = min(max(1, steps // STRETCHES), LONGEST_STRETCH)
    every = run.config.checkpoint_every.steps
    asked = {step - before for step in also if before < step <= before + steps}
    if every:
        asked |= {step for step in range(1, steps) if (before + step) % every == 0}
    return sorted({*range(length, steps, length), *asked, steps})


def _tester(run: Run) -> Callable[[TrainState], dict[str, float]]:
    """The test set's part of an epoch's row, of the parameters and, if kept, of their average."""
    test_set = pad(run.data.test_images, run.data.test_labels, EVAL_BATCH, run.layout)
    eval_step = run.layout.jit(make_eval_step(run.model, run.normalize), **sooner())

    def test(state: TrainState) -> dict[str, float]:
        row: dict[str, float] = {}
        for name, params in (("test", state.params), ("ema_test", state.ema)):
            if params != ():
                result = evaluate(eval_step, params, state.batch_stats, test_set)
                row |= {f"{name}_loss": result.loss, f"{name}_accuracy": result.accuracy}
        return row

    return test
