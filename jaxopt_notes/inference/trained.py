"""Loads a trained network from a run's folder."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_notes.config.settings import Settings
from jaxopt_notes.errors import InputError
from jaxopt_notes.models import PureModel, pure
from jaxopt_notes.runs import checkpoint
from jaxopt_notes.runs import info as run_info
from jaxopt_notes.training.evaluation import Weights
from jaxopt_notes.training.network import build_network
from jaxopt_notes.training.state import TrainState
from jaxopt_notes.training.step import Normalization

WHICH = ("best", "last", "ema")


class Trained(NamedTuple):
    """A trained network, and everything needed to use it.

    Attributes:
      config: the run's settings.
      model: the network, with its initial parameters.
      weights: the trained weights.
      normalize: turns uint8 pixels into the network's input.
      image_shape: (height, width, channels).
      class_names: one for each logit.
    """

    config: Settings
    model: PureModel
    weights: Weights
    normalize: Normalization
    image_shape: tuple[int, ...]
    class_names: tuple[str, ...]


def load_trained(run: str, which: str = "best", argument: str = "--run") -> Trained:
    """Reads the weights of a run from its checkpoints.

    Args:
      run: the run's folder.
      which: the checkpoint: `best`, with the highest test accuracy; `last`; or `ema`, the last
        checkpoint's average of the parameters.
      argument: the option that the user passed the folder with, for error messages.

    Raises:
      InputError: the folder holds no run or no checkpoint, the checkpoint is damaged, or the run
        did not average its parameters.
    """
    info = run_info.read(run, argument)
    config, data = info.config, info.data
    if which == "ema" and config.ema is None:
        raise InputError(
            f"--which ema: the run in {run} did not average its parameters; pass best or last"
        )
    if not (Path(run) / checkpoint.FOLDER).is_dir():
        raise InputError(
            f"{argument} {run}: holds no checkpoint; pass a run that wrote checkpoints"
        )
    model = pure(build_network(config, data.image_shape, len(data.class_names)))
    with checkpoint.open_checkpoints(Path(run), read_only=True) as checkpoints:
        step = checkpoints.best_step() if which == "best" else None
        step = checkpoints.latest_step() if step is None else step
        if step is None:
            raise InputError(f"{argument} {run}: holds no checkpoint yet; let it finish an epoch")
        try:
            parts = checkpoint.read_weights(checkpoints, step, _like(model, config))
        except checkpoint.DamagedError as error:
            raise InputError(
                f"{argument} {run}: the checkpoint of step {step:,} is damaged ({error}); "
                f"pass another --which ({', '.join(WHICH)}), or resume the run"
            ) from error
    params = parts["ema"] if which == "ema" else parts["params"]
    return Trained(
        config,
        model,
        Weights(step, params, parts["batch_stats"]),
        Normalization(data.mean, data.std),
        data.image_shape,
        data.class_names,
    )


def _like(model: PureModel, config: Settings) -> Any:
    """A state whose weights have the structure and shapes of the run's."""
    ema = () if config.ema is None else model.params
    return TrainState(
        jnp.int32(0), model.params, (), model.batch_stats, jax.random.key(config.seed), ema
    )
