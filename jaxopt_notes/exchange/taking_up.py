"""Turns a torch checkpoint into the folder of a run, which `train --resume` continues."""

import copy
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_notes.config.settings import Settings, absolute, resolve
from jaxopt_notes.conventions import translate_state
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.exchange import network, settings
from jaxopt_notes.exchange.optimizer_state import as_float32, moved, one_group
from jaxopt_notes.exchange.reading import Parts
from jaxopt_notes.models import from_torch, torch_arrangement
from jaxopt_notes.models.torch_layers import PARAMS, matched
from jaxopt_notes.models.torch_names import BUFFERS, by_number, opened, without_wrappers
from jaxopt_notes.runs import checkpoint, folder, report
from jaxopt_notes.runs import info as run_info
from jaxopt_notes.training import epochs
from jaxopt_notes.training.evaluation import Weights, evaluate_classes
from jaxopt_notes.training.progress import Progress
from jaxopt_notes.training.setup import Setup, build_optimizer, prepare


class Taken(NamedTuple):
    """A run that a torch program began, ready to be written: its description and its progress."""

    setup: Setup
    progress: Progress


def take_up(
    parts: Parts,
    asked: Mapping[str, Any],
    names: Sequence[str] | None = None,
    step: int | None = None,
) -> Taken:
    """The run of `train` that continues a checkpoint's training.

    Args:
      parts: the checkpoint's parts.
      asked: settings by name that the checkpoint does not hold.
      names: torch's names of the layers with weights, in the network's order.
      step: the number of steps taken, if the user gives it; it overrides the checkpoint's.

    Raises:
      InputError: `train` has no such network, optimizer or schedule; a setting contradicts the
        checkpoint; or the checkpoint holds too little.
    """
    weights = _float32(opened(parts.weights))
    parts = parts._replace(weights=weights)
    # A torch program does not shift its images as `train` does by default.
    asked = {"shift": 0, **asked, **network.settings_of(weights, names, asked), "mesh": 1}
    setup = prepare({**{k: x for k, x in asked.items() if k not in settings.DECIDED}, "epochs": 1})
    images, per_epoch = len(setup.data.train_labels), setup.steps_per_epoch
    try:
        taken = settings.steps_of(parts, step)
        lengths = (per_epoch, math.ceil(images / setup.config.batch_size))
        asked = settings.with_optimizer(parts, asked, taken, lengths)
    except InputError:
        raise
    # A file may hold anything in place of a param group or a count.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"its optimizer's state is not what torch's state_dict() returns ({first_line(error)})"
        ) from error
    if "epochs" not in asked:
        asked["epochs"] = settings.epochs_of(asked, taken, per_epoch, images)
    if (length := asked["epochs"] * per_epoch) < taken:
        raise InputError(
            f"--epochs {asked['epochs']}: are {length:,} steps of batch size "
            f"{setup.config.batch_size}, and the checkpoint has taken {taken:,}; pass more, or the "
            "torch run's --batch-size"
        )
    setup = _with_settings(setup, resolve(asked, images))
    if parts.optimizer is not None:
        settings.check_rate(parts.optimizer, setup.config, per_epoch, taken)
    return Taken(setup, _progress(parts, setup, names, taken))


def _with_settings(setup: Setup, config: Settings) -> Setup:
    """The setup with its network and data, but with the run's optimizer and length."""
    config = absolute(replace(config, dataset=setup.config.dataset))
    optimizer = build_optimizer(config, setup.steps_per_epoch * config.epochs)
    return setup._replace(config=config, optimizer=setup.layout.optimizer(optimizer))


def _float32(weights: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy of the state_dict in float32, which keeps torch's record of the order of layers."""
    copied: Any = copy.copy(weights)
    for name, value in weights.items():
        copied[name] = as_float32(value)
    return copied


def _progress(parts: Parts, setup: Setup, names: Sequence[str] | None, taken: int) -> Progress:
    params, batch_stats = from_torch(parts.weights, setup.network, names)
    progress = epochs.first_progress(setup)
    state = progress.state._replace(params=params, batch_stats=batch_stats)
    if parts.optimizer is not None:
        shapes = _shapes(parts, setup.network, names)
        optimizer, order = one_group(parts.optimizer, shapes)
        there = translate_state(
            optimizer,
            params,
            lr=float(optimizer["param_groups"][0]["lr"]),
            arrange=torch_arrangement(parts.weights, setup.network, names),
            names=order,
        )
        velocity = settings.counterpart_of(optimizer, scheduled=False).velocity
        opt_state = moved(there, state.opt_state, taken, velocity)
        state = state._replace(opt_state=opt_state, step=jnp.int32(taken))
    before, in_epoch = divmod(taken, setup.steps_per_epoch)
    state = setup.layout.place(jax.tree.map(jnp.asarray, state))
    return progress._replace(state=state, step_in_epoch=in_epoch, epochs_before=before)


def _shapes(parts: Parts, network: Any, names: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """The shapes of the network's parameters in the order in which its optimizer holds them."""
    entries = without_wrappers(parts.weights)
    order = [name for name in entries if name.rpartition(".")[2] not in BUFFERS]
    prefixes = list(dict.fromkeys(name.rpartition(".")[0] for name in order))
    numbered = by_number(prefixes)
    if not parts.in_module_order or numbered not in (None, prefixes):
        # The file sorts its names (10 before 2, bias before weight), so take the network's order.
        layers = matched(entries, network, names, parts.weights)
        order = [
            f"{prefix}{entry}"
            for prefix, layer in layers
            for entry, (collection, _) in layer.entries.items()
            if collection == PARAMS
        ]
    return {name: tuple(entries[name].shape) for name in order}


def accuracy(taken: Taken) -> float:
    """The test accuracy of the weights, which reveals a wrong order of layers or pixels."""
    setup, state = taken.setup, taken.progress.state
    weights = Weights(int(state.step), state.params, state.batch_stats)
    return evaluate_classes(weights, setup.model, setup.normalize, setup.data).accuracy


def write(taken: Taken, out: str) -> Path:
    """Writes the run's folder: the checkpoint first, then `config.json`, which marks it as a run.

    Raises:
      InputError: the folder holds a run already, or cannot be written.
    """
    folder.refuse_inside(out, taken.setup.config.dataset)
    path = folder.create(out)
    info = report.describe(taken.setup)
    with folder.locked(path):
        folder.refuse_used(out)
        try:
            with tempfile.TemporaryDirectory(dir=path, prefix=".part-") as beside:
                with checkpoint.open_checkpoints(Path(beside)) as checkpoints:
                    checkpoint.save(checkpoints, taken.progress, info)
                    checkpoints.wait_until_finished()
                (Path(beside) / checkpoint.FOLDER).rename(path / checkpoint.FOLDER)
        # orbax re-raises any error of its background threads.
        except Exception as error:
            raise InputError(
                f"--out {out}: cannot be written ({first_line(error)}); pass another folder"
            ) from error
        folder.write_config(path, run_info.to_json(info))
    return path
