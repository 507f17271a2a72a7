"""Checkpoints of a run, by orbax: written while the training goes on, and read back whole.

A checkpoint has three parts: `weights` (parameters, their average, batch statistics), `optimizer`
(its state) and `position` (JSON: the rest of a `Position`, the rows so far, settings, versions, and
the checksums of the other two). So that the weights can be read without knowing the optimizer.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from jaxopt_notes import __version__
from jaxopt_notes.runs.folder import reason
from jaxopt_notes.runtime.processes import largest, leads
from jaxopt_notes.training.loop import Sums
from jaxopt_notes.training.run import Position
from jaxopt_notes.training.sharding import put
from jaxopt_notes.training.state import TrainState

FOLDER = "checkpoints"

T = TypeVar("T")

# orbax logs what goes as it should, and errors that it raises as well.
logging.getLogger("absl").setLevel(logging.CRITICAL)


def _tell(unraisable: Any, others: Callable[[Any], Any] = sys.unraisablehook) -> None:
    """All but what becomes of orbax's other reads, which it drops where one array is damaged."""
    code = getattr(unraisable.object, "cr_code", None)  # a coroutine's
    of_orbax = code is not None and "orbax" in Path(code.co_filename).parts
    if not of_orbax and str(unraisable.exc_value) != "Event loop is closed":
        others(unraisable)


# They end at any time, each with a traceback on stderr.
sys.unraisablehook = _tell
logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def open_checkpoints(run: Path, keep: int = 1, read_only: bool = False) -> ocp.CheckpointManager:
    """The checkpoints of a run's folder; saving leaves the newest `keep` of them and the best."""
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
    """What writes and reads each part of a checkpoint."""

    def arrays() -> ocp.CheckpointHandler:
        # Each array in a folder of its own: orbax's database of all (OCDBT) leaks 9 kB a checkpoint
        # in tensorstore 0.1.72 to 0.1.86, and takes no less time.
        return ocp.StandardCheckpointHandler(use_ocdbt=False)

    return {"weights": arrays(), "optimizer": arrays(), "position": ocp.JsonCheckpointHandler()}


def _score(metrics: Any) -> float:
    return metrics["test_accuracy"]


def save(
    checkpoints: ocp.CheckpointManager,
    position: Position,
    rows: Sequence[dict[str, Any]],
    facts: dict[str, Any],
) -> None:
    """Starts to write a checkpoint; returns as soon as the state may change.

    Args:
      checkpoints: from `open_checkpoints`.
      position: the run's.
      rows: the metrics of its finished epochs.
      facts: what else shall be known of the run: settings and data.
    """
    state = position.state
    weights, optimizer = _weights(state), _optimizer(state)
    told = {
        "epoch": position.epoch,
        "in_epoch": position.in_epoch,
        "seconds": position.seconds,
        "sums": [x.item() for x in jax.device_get(position.sums)],
        "key": np.asarray(jax.random.key_data(state.key)).tolist(),
        "rows": list(rows),
        "step": int(state.step),
        "versions": versions(),
        "checksums": {"weights": int(checksum(weights)), "optimizer": int(checksum(optimizer))},
        "run": facts,
    }
    if jax.process_count() == 1:
        # As numpy's arrays: for JAX's, orbax asks tensorstore for its metrics, which leaks 26 kB
        # a checkpoint (tensorstore 0.1.72 to 0.1.86). Only orbax can cut an array among processes.
        weights, optimizer = jax.device_get((weights, optimizer))
    finished = position.in_epoch == 0 and rows
    checkpoints.save(
        int(state.step),
        args=ocp.args.Composite(
            weights=ocp.args.StandardSave(weights),
            optimizer=ocp.args.StandardSave(optimizer),
            position=ocp.args.JsonSave(told),
        ),
        metrics={"test_accuracy": rows[-1]["test_accuracy"]} if finished else None,
        force=True,
    )


def versions() -> dict[str, str]:
    """Of what a run's digits depend on."""
    modules = {m.__name__: m.__version__ for m in (jax, flax, optax)}
    return {"jaxopt_notes": __version__, **modules}


def _weights(state: TrainState) -> dict[str, Any]:
    return {"params": state.params, "batch_stats": state.batch_stats, "ema": state.ema}


def _optimizer(state: TrainState) -> dict[str, Any]:
    return {"step": state.step, "state": state.opt_state}  # never empty, as orbax asks


class Restored(NamedTuple):
    """A checkpoint read back: the position, the rows, and all that was told beside them."""

    position: Position
    rows: list[dict[str, Any]]
    told: dict[str, Any]


class DamagedError(Exception):
    """A checkpoint cannot be read, or its contents are not those that were written."""


def restore_newest(
    checkpoints: ocp.CheckpointManager,
    like: TrainState,
    say: Callable[[str], None],
    new_optimizer: bool = False,
) -> Restored | None:
    """Reads the newest whole checkpoint; damaged ones after it are moved out of the way.

    Args:
      checkpoints: from `open_checkpoints`.
      like: a state of the same structure, shapes, dtypes and shardings.
      say: is told a line of each checkpoint that is left out.
      new_optimizer: whether the optimizer's state is to be that of `like`, not the checkpoint's.

    Returns:
      None where there is no whole checkpoint.
    """
    for step in sorted(checkpoints.all_steps(), reverse=True):
        try:
            return _whole(_restore, checkpoints, step, like, new_optimizer)
        except DamagedError as error:
            say(f"the checkpoint of step {step:,} is damaged and left out ({error})")
        _set_aside(checkpoints, step)
    return None


def _whole(read: Callable[..., T], *args: Any) -> T:
    """What `read` returns; DamagedError with the reason, whatever it raises."""
    try:
        return read(*args)
    # Whatever a damaged file makes orbax, tensorstore or JSON raise.
    except Exception as error:
        why = reason(error.__cause__ if isinstance(error.__cause__, Exception) else error)
    raise DamagedError(why)


def _set_aside(checkpoints: ocp.CheckpointManager, step: int) -> None:
    """Moves a checkpoint to the run's folder `damaged`, so that its step can be written again."""
    folder = Path(checkpoints.directory)
    if leads():
        aside = folder.parent / "damaged" / f"{step}-{time.time_ns()}"
        aside.parent.mkdir(exist_ok=True)
        (folder / str(step)).rename(aside)
    largest(0)  # waits for the first process
    checkpoints.reload()


def _restore(
    checkpoints: ocp.CheckpointManager, step: int, like: TrainState, new_optimizer: bool
) -> Restored:
    told = read_told(checkpoints, step)
    weights = _read_weights(checkpoints, step, like)
    opt_state = like.opt_state
    if not new_optimizer:
        args = ocp.args.StandardRestore(_abstract(_optimizer(like)))
        optimizer = _read(checkpoints, step, optimizer=args)
        _check(optimizer, told["checksums"]["optimizer"])
        opt_state = optimizer["state"]
    key = jax.random.wrap_key_data(jnp.array(told["key"], jnp.uint32))
    state = TrainState(
        put(np.int32(told["step"]), like.step.sharding),
        weights["params"],
        opt_state,
        weights["batch_stats"],
        put(key, like.key.sharding),
        weights["ema"],
    )
    loss, *counts = told["sums"]
    sums: Any = Sums(np.float32(loss), *map(np.int32, counts))  # type: ignore[arg-type]
    position = Position(state, sums, told["epoch"], told["in_epoch"], told["seconds"])
    return Restored(position, told["rows"], told)


def read_told(checkpoints: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    """The JSON part of a checkpoint."""
    return _read(checkpoints, step, position=ocp.args.JsonRestore())


def read_weights(checkpoints: ocp.CheckpointManager, step: int, like: TrainState) -> Any:
    """A checkpoint's `params`, `batch_stats` and `ema`.

    Raises:
      DamagedError: they cannot be read, or are not those that were written.
    """
    return _whole(_read_weights, checkpoints, step, like)


def _read_weights(checkpoints: ocp.CheckpointManager, step: int, like: TrainState) -> Any:
    args = ocp.args.StandardRestore(_abstract(_weights(like)))
    weights = _read(checkpoints, step, weights=args)
    _check(weights, read_told(checkpoints, step)["checksums"]["weights"])
    return weights


def _read(checkpoints: ocp.CheckpointManager, step: int, **part: Any) -> Any:
    """One part of a checkpoint; every process raises where one of them cannot read it."""
    (name,) = part
    try:
        value, error = checkpoints.restore(step, args=ocp.args.Composite(**part))[name], None
    # Whatever a damaged file makes orbax, tensorstore or JSON raise.
    except Exception as caught:
        value, error = None, caught
    if largest(int(error is not None)):
        raise error or DamagedError("another process could not read it")
    return value


def _abstract(tree: Any) -> Any:
    def leaf(x: jax.Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)

    return jax.tree.map(leaf, tree)


def _check(tree: Any, written: int) -> None:
    if int(checksum(tree)) != written:
        raise DamagedError("its checksum does not fit")


@jax.jit
def checksum(tree: Any) -> jax.Array:
    """A uint32 that changes with any bit of any leaf, wherever the leaves lie on the devices.

    The sum modulo 2³², over all elements, of a hash of the element's bits and its place. For each
    place the hash is one-to-one. It is not linear: a weighted sum of the bits would not notice
    that x and −x have changed places.
    """
    total, seen = jnp.uint32(0), 0
    for leaf in jax.tree.leaves(tree):
        bits = _bits(leaf)
        place = jnp.full(bits.shape, seen, jnp.uint32)
        for axis in range(bits.ndim):
            stride = np.uint32(math.prod(bits.shape[axis + 1 :]))
            place += jax.lax.broadcasted_iota(jnp.uint32, bits.shape, axis) * stride
        total += _mix(bits + place * np.uint32(0x9E3779B9)).sum(dtype=jnp.uint32)
        seen += bits.size
    return total


def _mix(x: jax.Array) -> jax.Array:
    """A one-to-one function of uint32 without structure: the end of MurmurHash3 (Appleby, 2011)."""
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def _bits(x: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(x):
        x = jnp.stack([x.real, x.imag])
    if x.dtype == bool:
        return x.astype(jnp.uint32)
    # Eight bytes become two numbers, along a new last axis.
    width = {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32)
    return jax.lax.bitcast_convert_type(x, width).astype(jnp.uint32)
