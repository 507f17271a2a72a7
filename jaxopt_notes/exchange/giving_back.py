"""Turns a run into a checkpoint file for torch: weights, optimizer, scheduler, position."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxopt_notes import conventions, files, optimizers
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.exchange.reading import SAFETENSORS
from jaxopt_notes.exchange.torch_schedulers import counterpart, taken_in_torch
from jaxopt_notes.extras import require
from jaxopt_notes.inference.trained import load_trained
from jaxopt_notes.models import pure, to_torch, torch_arrangement
from jaxopt_notes.models.torch_names import BUFFERS
from jaxopt_notes.runs import checkpoint
from jaxopt_notes.runs import info as run_info
from jaxopt_notes.runs.info import RunInfo
from jaxopt_notes.training import adam_to_sgd
from jaxopt_notes.training.network import build_network
from jaxopt_notes.training.progress import Progress
from jaxopt_notes.training.schedules import schedule
from jaxopt_notes.training.setup import build_optimizer
from jaxopt_notes.training.state import create
from jaxopt_notes.transfer import as_tensors, recognize, to_torch_state

TORCH = (".pt", ".pth", ".bin", ".ckpt")
LAST = "last"
_ALONE = f"for the weights alone pass a name that ends in {SAFETENSORS}"


class TorchCheckpoint(NamedTuple):
    """A run's checkpoint for torch.

    Attributes:
      weights: the module's state_dict, of arrays.
      rest: the optimizer's and the scheduler's state_dict, the step and the epoch; empty for a file
        of weights alone.
      step: the number of steps that the weights were trained for.
      notes: lines for the user about what the file lacks.
    """

    weights: dict[str, Any]
    rest: dict[str, Any]
    step: int
    notes: list[str]


def refuse_out(out: Path) -> None:
    """Raises InputError where a checkpoint file's name has another suffix, or the file exists."""
    if out.suffix not in (*TORCH, SAFETENSORS):
        raise InputError(
            f"--out {out}: pass a name that ends in {TORCH[0]}, or in {SAFETENSORS} for the "
            "weights alone"
        )
    if os.path.lexists(out):
        raise InputError(f"--out {out}: already exists; pass another name")


def give_back(
    run: str, which: str = LAST, names: Sequence[str] | None = None, *, weights_alone: bool = False
) -> TorchCheckpoint:
    """A run's checkpoint for torch.

    Args:
      run: the run's folder.
      which: the weights to write: `last`, which come with the optimizer, `best` or `ema`.
      names: torch's names of the layers with weights, in order; by default, their positions in
        `nn.Sequential`.
      weights_alone: whether to write the last weights without the optimizer.

    Raises:
      InputError: the folder holds no run or no checkpoint, or torch has no such optimizer.
    """
    info = run_info.read(run, "SOURCE")
    config, data = info.config, info.data
    network = build_network(config, data.image_shape, len(data.class_names))
    if weights_alone or which != LAST:
        trained = load_trained(run, which, "SOURCE").weights
        weights = to_torch(trained.params, trained.batch_stats, network, names)
        return TorchCheckpoint(weights, {}, trained.step, [])
    progress = _newest(run, info, network)
    state = progress.state
    weights = to_torch(state.params, state.batch_stats, network, names)
    arrange = torch_arrangement(weights, network, names)
    parameters = {k: x for k, x in weights.items() if k.rpartition(".")[2] not in BUFFERS}
    try:
        optimizer = _optimizer(info, progress, parameters, arrange)
    except InputError as error:
        raise InputError(f"SOURCE {run}: {error}; {_ALONE}") from None
    rest, notes = {"optimizer": optimizer.state_dict}, []
    peak = config.learning_rate * optimizer.factor
    scheduler, reason = counterpart(config, info.steps_per_epoch * config.epochs, peak)
    if scheduler is not None:
        rates, rest["scheduler"] = taken_in_torch(scheduler, peak, progress.step)
        optimizer.state_dict["param_groups"][0] |= rates
    elif reason:
        notes.append(f"the scheduler is left out: {reason}")
    if config.clip_norm is not None:
        notes.append(f"in torch, call clip_grad_norm_(…, {config.clip_norm:g}) before each step")
    if config.ema is not None:
        notes.append(
            "the average of the parameters is left out; pass --which ema to write it instead"
        )
    return TorchCheckpoint(
        weights, {**rest, "step": progress.step, "epoch": progress.epoch}, progress.step, notes
    )


def _newest(run: str, info: RunInfo, network: Any) -> Progress:
    """The progress of the newest checkpoint."""
    config, model = replace(info.config, watch=False), pure(network)
    optimizer = build_optimizer(config, info.steps_per_epoch * config.epochs)
    key = jax.random.key(config.seed)
    like = create(model, optimizer, key, averaged=config.ema is not None)
    if not (Path(run) / checkpoint.FOLDER).is_dir():
        raise InputError(f"SOURCE {run}: holds no checkpoint; pass a run that wrote checkpoints")
    with checkpoint.open_checkpoints(Path(run), read_only=True) as checkpoints:
        step = checkpoints.latest_step()
        if step is None:
            raise InputError(f"SOURCE {run}: holds no checkpoint yet; let it finish an epoch")
        try:
            return checkpoint.read(checkpoints, step, like).progress
        except checkpoint.DamagedError as error:
            raise InputError(
                f"SOURCE {run}: the checkpoint of step {step:,} is damaged ({error}); resume the "
                "run, which sets it aside"
            ) from error


class _Optimizer(NamedTuple):
    """A run's optimizer for torch: its state_dict, and its learning rate divided by the run's."""

    state_dict: dict[str, Any]
    factor: float


def _optimizer(
    info: RunInfo, progress: Progress, parameters: Mapping[str, Any], arrange: Any
) -> _Optimizer:
    config, state, step = info.config, progress.state, progress.step
    steps = info.steps_per_epoch * config.epochs
    rate = schedule(config.schedule, config.learning_rate, steps, config.warmup)
    make = getattr(optimizers, config.optimizer.replace("-", "_"))
    arguments = adam_to_sgd.arguments(config, steps)
    own = state.opt_state if config.clip_norm is None else state.opt_state[1]
    (group,) = recognize(partial(make, rate, **arguments), own, state.params, "torch")
    lr = group.keywords["lr"]
    rate_there = lr if callable(lr) else lambda _: lr
    highest = max((0, steps // 2, step), key=rate)  # the learning rate may be 0 now
    state_dict = to_torch_state(
        (getattr(conventions.torch, group.name), group.keywords),
        group.state,
        state.params,
        names=parameters,
        arrange=arrange,
        lr=float(lr(step)) if callable(lr) else None,
        steps=step,
    )
    # Rounded to float32: the two possible ratios, 1 and 1 − β, have fewer digits.
    factor = float(rate_there(highest)) / float(rate(highest))
    return _Optimizer(state_dict, float(f"{factor:.6g}"))


def write(checkpoint: TorchCheckpoint, out: Path) -> None:
    """Writes a checkpoint file, whole or not at all.

    Raises:
      InputError: the file cannot be written, or exists already.
      MissingExtraError: the extra that writes it is not installed.
    """
    refuse_out(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == SAFETENSORS:
            require(f"--out {out}", "safetensors")
            from safetensors.numpy import save

            # transformers reads only files of this format
            about = {"format": "pt", "step": str(checkpoint.step)}
            files.write_bytes(out, save(checkpoint.weights, about))
            return
        require(f"--out {out}", "torch")
        import torch

        with files.open_whole(out) as file:
            whole = (
                {"model": checkpoint.weights, **checkpoint.rest}
                if checkpoint.rest
                else checkpoint.weights
            )
            torch.save(as_tensors(whole), file)
    except OSError as error:
        raise InputError(
            f"--out {out}: cannot be written ({first_line(error)}); pass another file"
        ) from error
