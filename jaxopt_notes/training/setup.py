"""Prepares a training from its settings: data, network, optimizer, devices."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import optax
from flax import nnx

from jaxopt_notes import optimizers
from jaxopt_notes.config.settings import Asked, Settings, absolute, resolve, setting, validate
from jaxopt_notes.data import Dataset, load, located
from jaxopt_notes.errors import InputError
from jaxopt_notes.microscope.watching import watch
from jaxopt_notes.models import PureModel, pure
from jaxopt_notes.runtime.compilation import keep_compiled
from jaxopt_notes.training import adam_to_sgd, watching
from jaxopt_notes.training.network import maker
from jaxopt_notes.training.schedules import schedule
from jaxopt_notes.training.sharding import Layout, make_layout, split_cpu
from jaxopt_notes.training.step import Normalization, normalization_of


class Setup(NamedTuple):
    """Everything that a training needs before its first step."""

    config: Settings  # with every choice made
    data: Dataset
    make: Callable[[nnx.Rngs], Any]  # draws the CNN or MLP
    network: Any  # what `make` draws, with shapes in place of arrays
    model: PureModel  # of `network`
    optimizer: optax.GradientTransformation
    normalize: Normalization
    steps_per_epoch: int
    layout: Layout


def prepare(asked: Asked) -> Setup:
    """Chooses the settings that the user left open, and loads the data. Writes nothing.

    Args:
      asked: the settings that the user asks for, by name.

    Raises:
      InputError: a setting is wrong, or the data cannot be loaded.
    """
    validate(asked)
    where = ("dataset", "data_dir", "image_size", "follow_links")
    data = load(*(setting(asked, name) for name in where))
    size = len(data.train_labels)
    config = resolve(asked, size)
    if config.batch_size > size:
        raise InputError(
            f"--batch-size {config.batch_size}: the training set has only {size} images; "
            f"pass 1 to {size}"
        )
    auto = config.dataset == "auto"
    dataset = data.name if auto else located(config.dataset, config.data_dir)
    config = absolute(replace(config, dataset=dataset))
    keep_compiled(config.program_folder)
    split_cpu(config.mesh, config.batch_size, convolves=config.model == "cnn")
    layout = make_layout(config.mesh, config.batch_size, config.shard_optimizer_state)
    steps = size // config.batch_size
    make = maker(config, data.train_images.shape[1:], len(data.class_names))
    network = nnx.eval_shape(lambda: make(nnx.Rngs(0)))  # draws nothing
    return Setup(
        config,
        data,
        make,
        network,
        pure(network),
        layout.optimizer(build_optimizer(config, steps * config.epochs)),
        normalization_of(data.train_images),
        steps,
        layout,
    )


def build_optimizer(config: Settings, steps: int) -> optax.GradientTransformation:
    """The optimizer with its schedule over `steps` steps; with `--watch`, a watched optimizer.

    Raises:
      InputError: the optimizer refuses a hyperparameter, or its switch is not within the steps.
    """
    rate = schedule(config.schedule, config.learning_rate, steps, config.warmup)
    arguments = adam_to_sgd.arguments(config, steps)
    make = getattr(optimizers, config.optimizer.replace("-", "_"))
    try:
        optimizer = make(rate, **arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"--optimizer {config.optimizer}: {error}") from error
    if config.clip_norm is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
    return (
        watch(optimizer, eps=watching.root_of_eps(make, arguments)) if config.watch else optimizer
    )
