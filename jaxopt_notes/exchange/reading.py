"""Reads the parts of a torch program's checkpoint: weights, optimizer, scheduler, position.

    plain               a module's state_dict, or a dictionary that holds it with other parts:
                        "model", "optimizer", "scheduler", "step" and the like
    Lightning           "state_dict", "optimizer_states", "lr_schedulers", "global_step"
    Hugging Face        a folder: model.safetensors or pytorch_model.bin, optimizer.pt,
                        scheduler.pt, trainer_state.json
    safetensors         weights alone

No pickle is executed: torch's own `weights_only` loader reads torch's files, and refuses everything
but tensors, numbers and containers of them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import require

SAFETENSORS = ".safetensors"

_WEIGHTS = ("model", "state_dict", "model_state_dict", "module", "net", "network", "weights")
_OPTIMIZER = ("optimizer", "optimizer_state_dict", "optimizer_states", "optim")
_SCHEDULER = (
    *("scheduler", "lr_scheduler", "scheduler_state_dict", "lr_scheduler_state_dict"),
    "lr_schedulers",
)
_STEP = ("global_step", "step", "steps", "iteration", "iter")
# The file names that Trainer and Accelerate use
_FOLDER_WEIGHTS = (f"model{SAFETENSORS}", "pytorch_model.bin")
_FOLDER_OPTIMIZER = ("optimizer.pt", "optimizer.bin")
_FOLDER_SCHEDULER = ("scheduler.pt", "scheduler.bin")
_TRAINER = "trainer_state.json"
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)|Unsupported class ([\w.]+)")


class Parts(NamedTuple):
    """The parts of a checkpoint; None for a missing part.

    Attributes:
      weights: the module's state_dict, names to tensors or arrays.
      optimizer: the optimizer's state_dict.
      scheduler: the lr_scheduler's state_dict.
      step: the number of steps taken, as the program recorded it.
      epoch: the program's epoch number: that of finished epochs, or of the current epoch.
      in_module_order: whether the weights stand in the order in which the module defines them.
    """

    weights: Mapping[str, Any]
    optimizer: Mapping[str, Any] | None = None
    scheduler: Mapping[str, Any] | None = None
    step: int | None = None
    epoch: int | None = None
    in_module_order: bool = True


def is_checkpoint_folder(folder: Path) -> bool:
    """Whether a folder holds the files of a Hugging Face checkpoint."""
    names = (*_FOLDER_WEIGHTS, *_FOLDER_OPTIMIZER, _TRAINER)
    return any((folder / name).exists() for name in names)


def read(path: Path) -> Parts:
    """Reads a checkpoint file, or a folder of Hugging Face's.

    Raises:
      InputError: the checkpoint cannot be read, is damaged, wants to execute code, or holds no
        weights.
      MissingExtraError: the extra that reads it is not installed.
    """
    if path.is_dir():
        return _folder(path)
    if path.suffix == SAFETENSORS:
        return Parts(_safetensors(path), in_module_order=False)
    return _parts(path, _torch(path))


def _torch(path: Path) -> Any:
    require(str(path), "torch")
    import torch

    _refuse_unreadable(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # For a damaged or hostile file, zip, pickle and torch raise many kinds of errors.
    except Exception as error:
        raise InputError(f"{path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = str(error)
    if name := _GLOBAL.search(text):
        return (
            f"needs {name[1] or name[2]} to be loaded, and no code that a file names is executed; "
            "save state_dicts, such as torch.save({'model': model.state_dict()}, …)"
        )
    if "TorchScript" in text:
        return "is a TorchScript program; save the module's state_dict"
    return (
        f"is not a checkpoint that torch can read ({first_line(error)}); pass a file that "
        "torch.save wrote"
    )


def _safetensors(path: Path) -> dict[str, Any]:
    require(str(path), "safetensors")
    from safetensors import safe_open

    _refuse_unreadable(path)
    try:
        with safe_open(path, framework="flax") as file:  # NumPy has no bfloat16
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # The library's own error, and errors of NumPy and JAX at impossible headers.
    except Exception as error:
        raise InputError(f"{path}: is not a safetensors file ({first_line(error)})") from error


def read_names(path: Path) -> list[str]:
    """The layers' names in a JSON file, for `--names`.

    Raises:
      InputError: the file cannot be read, or holds something else.
    """
    names = _json(path, f"--names {path}")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f'--names {path}: is not a list of names; write ["conv1", "fc1", …]')
    return names


def _json(path: Path, shown: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{shown}: cannot be read as JSON ({first_line(error)})") from error


def _refuse_unreadable(path: Path) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)})") from error


def _folder(folder: Path) -> Parts:
    def there(names: Iterable[str]) -> Path | None:
        return next((folder / name for name in names if (folder / name).exists()), None)

    weights = there(_FOLDER_WEIGHTS)
    if weights is None:
        raise InputError(
            f"{folder}: has no {' or '.join(_FOLDER_WEIGHTS)}; pass a checkpoint of one file of "
            "weights"
        )
    parts = read(weights)
    optimizer, scheduler = there(_FOLDER_OPTIMIZER), there(_FOLDER_SCHEDULER)
    trainer = (
        _json(folder / _TRAINER, f"{folder / _TRAINER}") if (folder / _TRAINER).exists() else {}
    )
    return parts._replace(
        optimizer=None if optimizer is None else _of_optimizer(optimizer, _torch(optimizer)),
        scheduler=None if scheduler is None else _of_scheduler(scheduler, _torch(scheduler)),
        step=_whole(trainer, ("global_step",)) if isinstance(trainer, Mapping) else None,
    )


def _parts(path: Path, checkpoint: Any) -> Parts:
    """The parts of a checkpoint that torch has loaded."""
    if not isinstance(checkpoint, Mapping):
        raise InputError(
            f"{path}: holds a {type(checkpoint).__name__}; save a state_dict, or a dictionary "
            "that has one"
        )
    if "param_groups" in checkpoint:
        raise InputError(f"{path}: holds only an optimizer; save the module's state_dict too")
    optimizer, scheduler = _first(checkpoint, _OPTIMIZER), _first(checkpoint, _SCHEDULER)
    weights = _first(checkpoint, _WEIGHTS)
    weights = checkpoint if weights is None else weights  # from_torch reads other forms
    if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights):
        raise InputError(f"{path}: its weights are not a state_dict of names and tensors")
    return Parts(
        weights,
        None if optimizer is None else _of_optimizer(path, optimizer),
        None if scheduler is None else _of_scheduler(path, scheduler),
        _whole(checkpoint, _STEP),
        _whole(checkpoint, ("epoch",)),
    )


def _first(checkpoint: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of the named entries that is a dictionary or a list, and not empty."""
    values = (checkpoint[name] for name in names if name in checkpoint)
    return next((x for x in values if isinstance(x, Mapping | list) and x), None)


def _only(path: Path, value: Any, what: str) -> Any:
    if not isinstance(value, list):
        return value
    if len(value) != 1:
        raise InputError(f"{path}: holds {len(value)} {what}s; a run of train has one")
    return value[0]


def _of_optimizer(path: Path, value: Any) -> Mapping[str, Any]:
    state = _only(path, value, "optimizer")
    groups = state.get("param_groups") if isinstance(state, Mapping) else None
    whole = isinstance(groups, list) and all(
        isinstance(group, Mapping) and isinstance(group.get("params"), list) for group in groups
    )
    if not (groups and whole and isinstance(state.get("state", {}), Mapping)):
        raise InputError(f"{path}: its optimizer is not a state_dict of torch's")
    return state


def _of_scheduler(path: Path, value: Any) -> Mapping[str, Any]:
    state = _only(path, value, "scheduler")
    if not isinstance(state, Mapping):
        raise InputError(f"{path}: its scheduler is not a state_dict of torch's")
    return state


def _whole(checkpoint: Mapping[str, Any], names: Iterable[str]) -> int | None:
    """The first of the named entries that is a whole number from 0."""
    for name in names:
        value: Any = checkpoint.get(name)
        if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
            value = value.item()
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None
