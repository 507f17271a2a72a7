"""A run from its settings: data, network, optimizer, driver, and the row of each epoch."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes import optimizers
from jaxopt_notes.data import Dataset, epoch_order, load
from jaxopt_notes.errors import InputError
from jaxopt_notes.models import PureModel, pure
from jaxopt_notes.training import switching
from jaxopt_notes.training.compilation import keep_compiled
from jaxopt_notes.training.config import (
    GAP_LEARNING_RATES,
    LEARNING_RATES,
    Config,
    epochs_for,
    image_size,
    validate,
)
from jaxopt_notes.training.loop import Result, compile_stretch, evaluate, pad, run_epoch
from jaxopt_notes.training.network import build_network, with_parts
from jaxopt_notes.training.schedules import schedule
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


class Run(NamedTuple):
    """Everything that a run is made of, before its first step."""

    config: Config  # with every choice made
    data: Dataset
    network: Any  # the CNN or MLP that `model` is made of
    model: PureModel
    optimizer: optax.GradientTransformation
    normalize: Normalization
    steps_per_epoch: int


def prepare(config: Config) -> Run:
    """Makes the choices that the settings leave open, and loads the data.

    Raises:
      InputError: a setting is wrong, or the data cannot be had; nothing has been written.
    """
    validate(config)
    data = load(config.dataset, config.data_dir, image_size(config.image_size))
    size = len(data.train_labels)
    if config.batch_size > size:
        raise InputError(
            f"--batch-size {config.batch_size}: larger than the data; give 1 to {size}"
        )
    rates = GAP_LEARNING_RATES if config.pooling == "gap" else LEARNING_RATES
    config = replace(
        config,
        learning_rate=config.learning_rate or rates[config.optimizer],
        epochs=config.epochs or epochs_for(size),
        compilation_cache=keep_compiled(config.compilation_cache),
    )
    config = with_parts(switching.resolved(config))
    steps = size // config.batch_size
    network = build_network(config, data.train_images.shape[1:], len(data.class_names))
    return Run(
        config,
        data,
        network,
        pure(network),
        build_optimizer(config, steps * (config.epochs or 0)),
        normalization_of(data.train_images),
        steps,
    )


def build_optimizer(config: Config, steps: int) -> optax.GradientTransformation:
    """The optimizer with its schedule over `steps` steps.

    Raises:
      InputError: a hyper-parameter is refused by the optimizer, or its switch is not in the run.
    """
    rate = schedule(config.schedule, config.learning_rate or 0.0, steps, config.warmup)
    given = switching.arguments(config, steps)
    try:
        return getattr(optimizers, config.optimizer.replace("-", "_"))(rate, **given)
    except (TypeError, ValueError) as error:
        raise InputError(f"--optimizer {config.optimizer}: {error}") from error


class Epoch(NamedTuple):
    """Where a run stands after an epoch: its row of metrics, and its whole state.

    The state's memory is used again by the next epoch: what shall outlast it has to be copied.
    """

    row: dict[str, Any]
    state: TrainState


def train(run: Run, on_stretch: Callable[[int, Result], None]) -> Iterator[Epoch]:
    """Trains, and yields after each epoch.

    Args:
      run: from `prepare`.
      on_stretch: called with (steps taken in all, the epoch's result so far) as the run goes on.

    Raises:
      DivergedError: the loss is not finite.
    """
    config, data = run.config, run.data
    start = time.perf_counter()
    state = create(run.model, run.optimizer, jax.random.key(config.seed))
    train_set = Batch(jnp.asarray(data.train_images), jnp.asarray(data.train_labels))
    test_set = pad(data.test_images, data.test_labels, EVAL_BATCH)
    step = make_train_step(run.model, run.optimizer, run.normalize, config.shift)
    eval_step = jax.jit(make_eval_step(run.model, run.normalize))

    def order_of(epoch: int) -> Any:
        return epoch_order(config.seed, epoch, len(data.train_labels), config.batch_size)

    stretch = compile_stretch(step, state, train_set, jnp.asarray(order_of(0)))
    total = run.steps_per_epoch * (config.epochs or 0)
    length = max(1, run.steps_per_epoch // STRETCHES)
    for epoch in range(config.epochs or 0):
        before = epoch * run.steps_per_epoch
        for after, result in run_epoch(stretch, state, train_set, order_of(epoch), length):
            state = after
            on_stretch(before + result.examples // config.batch_size, result)
        test = evaluate(eval_step, state, test_set)
        row = {
            "epoch": epoch + 1,
            "step": before + run.steps_per_epoch,
            "seconds": round(time.perf_counter() - start, 3),
            "train_loss": result.loss,
            "train_accuracy": result.accuracy,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            **switching.describe(config, total, state.opt_state),
        }
        yield Epoch(row, state)
