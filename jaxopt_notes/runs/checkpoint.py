"""Checkpoints of a run, by orbax: written while the training goes on, and verified when read.

A checkpoint has three parts, so that the weights can be read without knowing the optimizer:
`weights` (parameters, their average, batch statistics), `optimizer` (its state) and `position`
(JSON: the rest of the `Progress`, the run's `RunInfo`, the readings of a watched optimizer, and
checksums of all three parts). The optimizer's state is stored without the readings, so a run can
begin or stop watching at any checkpoint.

Importing this module imports orbax, which a run needs only after its first steps.
"""

import gc
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from jaxopt_notes.errors import first_line
from jaxopt_notes.runs import info as run_info
from jaxopt_notes.runs.checksum import FORM, checksum
from jaxopt_notes.runs.info import RunInfo
from jaxopt_notes.runtime.host import at_end
from jaxopt_notes.runtime.processes import largest, leads
from jaxopt_notes.training import watching
from jaxopt_notes.training.progress import Progress, Sums
from jaxopt_notes.training.sharding import put
from jaxopt_notes.training.state import TrainState

FOLDER = "checkpoints"
KEYS = {2: "threefry2x32", 4: "rbg"}  # words of a key; earlier versions used the user's generator

T = TypeVar("T")


def open_checkpoints(run: Path, keep: int = 1, read_only: bool = False) -> ocp.CheckpointManager:
    """The checkpoints in a run's folder; saving deletes all but the newest `keep` and the best."""
    latest = policies.LatestN(keep)
    best = policies.BestN(get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False)
    options = ocp.CheckpointManagerOptions(
        preservation_policy=policies.AnyPreservationPolicy([latest, best]),
        best_fn=_score,
        save_root_metadata=False,
        cleanup_tmp_directories=not read_only,
        read_only=read_only,
    )
    folder = (run / FOLDER).absolute()
    return ocp.CheckpointManager(folder, options=options, item_handlers=_handlers())


def _handlers() -> dict[str, ocp.CheckpointHandler]:
    """The handlers that write and read each part of a checkpoint."""

    def arrays() -> ocp.CheckpointHandler:
        # Each array has its own folder, because orbax's single database (OCDBT) leaks 9 kB per
        # checkpoint in tensorstore 0.1.72 to 0.1.86, and is no faster.
        return ocp.StandardCheckpointHandler(use_ocdbt=False)

    return {"weights": arrays(), "optimizer": arrays(), "position": ocp.JsonCheckpointHandler()}


def _score(metrics: Any) -> float:
    return metrics["test_accuracy"]


def save(checkpoints: ocp.CheckpointManager, progress: Progress, info: RunInfo) -> None:
    """Starts to write a run's checkpoint; returns as soon as the caller may change the state."""
    state = progress.state
    weights, optimizer = _weights(state), _optimizer(state)
    position: dict[str, Any] = {
        "epoch": progress.epoch,
        "in_epoch": progress.step_in_epoch,
        "seconds": progress.seconds,
        "sums": [x.item() for x in jax.device_get(progress.sums)],
        "key": np.asarray(jax.random.key_data(state.key)).tolist(),
        "rows": list(progress.rows),
        "step": progress.step,
        "checksums": {
            "form": FORM,
            "weights": int(checksum(weights, FORM)),
            "optimizer": int(checksum(optimizer, FORM)),
        },
        "run": run_info.to_json(info),
    }
    if readings := watching.to_json(state.opt_state):
        position["watch"] = readings
    position["checksums"]["position"] = _crc(position)
    if jax.process_count() == 1:
        # As NumPy arrays: for JAX arrays, orbax asks tensorstore for its metrics, which leaks 26 kB
        # per checkpoint (tensorstore 0.1.72 to 0.1.86). Several processes need JAX arrays, because
        # only orbax can divide an array among processes.
        weights, optimizer = jax.device_get((weights, optimizer))
    tested = progress.step_in_epoch == 0 and progress.rows
    checkpoints.save(
        progress.step,
        args=ocp.args.Composite(
            weights=ocp.args.StandardSave(weights),
            optimizer=ocp.args.StandardSave(optimizer),
            position=ocp.args.JsonSave(position),
        ),
        metrics={"test_accuracy": progress.rows[-1]["test_accuracy"]} if tested else None,
        force=True,
    )


def _weights(state: TrainState) -> dict[str, Any]:
    return {"params": state.params, "batch_stats": state.batch_stats, "ema": state.ema}


def _optimizer(state: TrainState) -> dict[str, Any]:
    own = watching.own_state(state.opt_state)
    return {"step": state.step, "state": own}  # never empty, because orbax refuses an empty tree


class Checkpoint(NamedTuple):
    """A checkpoint read back: the training's progress and the run's description."""

    progress: Progress
    info: RunInfo


class DamagedError(Exception):
    """A checkpoint cannot be read, or its contents have changed since they were written."""


def restore_newest(
    checkpoints: ocp.CheckpointManager,
    like: TrainState,
    warn: Callable[[str], None],
    new_optimizer: bool = False,
) -> Checkpoint | None:
    """Reads the newest undamaged checkpoint; newer damaged ones are moved out of the way.

    Args:
      checkpoints: from `open_checkpoints`.
      like: a state of the same structure, shapes, dtypes and shardings.
      warn: called with one line for each damaged checkpoint.
      new_optimizer: whether to take the optimizer's state from `like`, not from the checkpoint.

    Returns:
      The checkpoint; None where there is no undamaged one.
    """
    for step in sorted(checkpoints.all_steps(), reverse=True):
        try:
            return _whole(_restore, checkpoints, step, like, new_optimizer)
        except DamagedError as error:
            warn(f"the checkpoint of step {step:,} is damaged and skipped ({error})")
        _set_aside(checkpoints, step)
    return None


def _whole(read: Callable[..., T], *args: Any) -> T:
    """Returns what `read` returns; turns whatever it raises into a DamagedError."""
    try:
        return read(*args)
    # A damaged file makes orbax, tensorstore and JSON raise many kinds of errors.
    except Exception as error:
        reason = first_line(error.__cause__ if isinstance(error.__cause__, Exception) else error)
    at_end(gc.collect)  # orbax's abandoned reads end here, while `silence_orbax` still holds
    raise DamagedError(reason)


def _set_aside(checkpoints: ocp.CheckpointManager, step: int) -> None:
    """Moves a checkpoint to the run's folder `damaged`, so that the run can save its step again."""
    folder = Path(checkpoints.directory)
    if leads():
        target = folder.parent / "damaged" / f"{step}-{time.time_ns()}"
        target.parent.mkdir(exist_ok=True)
        (folder / str(step)).rename(target)
    largest(0)  # waits for the first process
    checkpoints.reload()


def _restore(
    checkpoints: ocp.CheckpointManager, step: int, like: TrainState, new_optimizer: bool
) -> Checkpoint:
    position = _read_position(checkpoints, step)
    weights = _read_weights(checkpoints, step, like)
    opt_state = like.opt_state
    if not new_optimizer:
        args = ocp.args.StandardRestore(_abstract(_optimizer(like)))
        optimizer = _read(checkpoints, step, optimizer=args)
        _check(optimizer, position["checksums"], "optimizer")
        opt_state = watching.with_own_state(opt_state, optimizer["state"])
        if readings := position.get("watch"):
            opt_state = watching.from_json(readings, opt_state, put)
    words = np.array(position["key"], np.uint32)
    key = jax.random.wrap_key_data(jnp.asarray(words), impl=KEYS[len(words)])
    state = TrainState(
        put(np.int32(position["step"]), like.step.sharding),
        weights["params"],
        opt_state,
        weights["batch_stats"],
        put(key, like.key.sharding),
        weights["ema"],
    )
    loss, *counts = position["sums"]
    sums: Any = Sums(np.float32(loss), *map(np.int32, counts))  # type: ignore[arg-type]
    rows = tuple(position["rows"])
    before = position["epoch"] - len(rows)
    progress = Progress(state, sums, position["in_epoch"], rows, position["seconds"], before)
    return Checkpoint(progress, run_info.from_json(position["run"]))


def _read_position(checkpoints: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    position = _read(checkpoints, step, position=ocp.args.JsonRestore())
    # Checkpoints of earlier versions have no checksum of their position.
    expected = position["checksums"].pop("position", None)
    if expected not in (None, _crc(position)):
        raise DamagedError("its checksum does not match")
    return position


def _crc(position: dict[str, Any]) -> int:
    """The CRC-32 of a checkpoint's position as JSON, with all digits of every number."""
    return zlib.crc32(json.dumps(position, sort_keys=True).encode())


def read(checkpoints: ocp.CheckpointManager, step: int, like: TrainState) -> Checkpoint:
    """A checkpoint, as `restore_newest` reads it; nothing is moved out of the way.

    Raises:
      DamagedError: it cannot be read, or has changed since it was written.
    """
    return _whole(_restore, checkpoints, step, like, False)


def read_weights(checkpoints: ocp.CheckpointManager, step: int, like: TrainState) -> Any:
    """A checkpoint's `params`, `batch_stats` and `ema`.

    Raises:
      DamagedError: they cannot be read, or have changed since they were written.
    """
    return _whole(_read_weights, checkpoints, step, like)


def _read_weights(checkpoints: ocp.CheckpointManager, step: int, like: TrainState) -> Any:
    args = ocp.args.StandardRestore(_abstract(_weights(like)))
    weights = _read(checkpoints, step, weights=args)
    _check(weights, _read_position(checkpoints, step)["checksums"], "weights")
    return weights


def _read(checkpoints: ocp.CheckpointManager, step: int, **part: Any) -> Any:
    """One part of a checkpoint; if one process cannot read it, all processes raise."""
    (name,) = part
    try:
        value, error = checkpoints.restore(step, args=ocp.args.Composite(**part))[name], None
    # A damaged file makes orbax, tensorstore and JSON raise many kinds of errors.
    except Exception as caught:
        value, error = None, caught
    if largest(int(error is not None)):
        raise error or DamagedError("another process could not read it")
    return value


def _abstract(tree: Any) -> Any:
    def leaf(x: jax.Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)

    return jax.tree.map(leaf, tree)


def _check(tree: Any, expected: dict[str, int], part: str) -> None:
    form = expected.get("form", 1)
    if int(checksum(tree, form)) != expected[part]:
        raise DamagedError("its checksum does not match")
