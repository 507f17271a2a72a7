"""The description of a run that its `config.json` and its checkpoints hold. Needs no JAX."""

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from jaxopt_notes import __version__
from jaxopt_notes.config import settings
from jaxopt_notes.config.settings import Settings
from jaxopt_notes.errors import InputError, first_line

FILE = "config.json"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class DeviceInfo:
    """The hardware that a run was trained on.

    Attributes:
      kind: JAX's name of the hardware.
      count: devices that share each batch.
      processes: processes that train together.
      cores: the CPU's cores.
      optimizer_state: bytes of the optimizer's state on each device.
      optimizer_state_whole: bytes of the whole optimizer state, as one device would hold it.
    """

    kind: str = ""
    count: int = 1
    processes: int = 1
    cores: int | None = None
    optimizer_state: int = 0
    optimizer_state_whole: int = 0


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """The data set of a run.

    Attributes:
      name: the data set's name.
      note: the loader's line about the data set; empty if it has none.
      train: number of training images.
      test: number of test images.
      image_shape: (height, width, channels).
      class_names: one for each logit.
      mean: of the training pixels, one for each channel.
      std: their standard deviation.
      fingerprint: changes with any pixel or label.
    """

    name: str = ""
    note: str = ""
    train: int = 0
    test: int = 0
    image_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """The network of a run: its name and how many parameters it has."""

    name: str = ""
    parameters: int = 0


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """Everything needed to describe or repeat a run.

    Attributes:
      jaxopt_notes: this package's version.
      versions: versions of the packages that the results depend on.
      device: the hardware it was trained on.
      config: its settings.
      data: its data set.
      model: its network.
      steps_per_epoch: training steps in one epoch.
    """

    jaxopt_notes: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    device: DeviceInfo = DeviceInfo()
    config: Settings
    data: DataInfo
    model: ModelInfo = ModelInfo()
    steps_per_epoch: int = 0

    @property
    def software(self) -> dict[str, str]:
        """The versions of this package and of the packages that the results depend on."""
        return {"jaxopt_notes": self.jaxopt_notes, **self.versions}


def to_json(info: RunInfo) -> dict[str, Any]:
    """The JSON value of a run's `config.json`; `from_json` makes the same record from it."""
    return asdict(info) | {"config": info.config.as_json()}


def from_json(value: dict[str, Any]) -> RunInfo:
    """Reads a record back. A field that an older version did not write gets its default.

    Raises:
      ValueError, TypeError, KeyError, AttributeError: the value does not describe a run.
    """
    return RunInfo(
        **_known(RunInfo, value)
        | {
            "config": settings.from_json(value["config"]),
            "data": _part(DataInfo, value["data"]),
            "device": _part(DeviceInfo, value.get("device", {})),
            "model": _part(ModelInfo, value.get("model", {})),
        }
    )


def _part(kind: type[T], value: dict[str, Any]) -> T:
    known = _known(kind, value).items()
    return kind(**{name: tuple(x) if isinstance(x, list) else x for name, x in known})


def _known(kind: Any, value: dict[str, Any]) -> dict[str, Any]:
    """The members that are fields of the record; newer versions may have written more."""
    return {field.name: value[field.name] for field in fields(kind) if field.name in value}


def read(folder: str, argument: str = "--resume") -> RunInfo:
    """Reads the `config.json` of the run in a folder.

    Args:
      folder: the run's folder.
      argument: the option that the user passed the folder with, for error messages.

    Raises:
      InputError: the folder holds no run, or its `config.json` does not describe one.
    """
    shown = f"{argument} {folder}"
    try:
        info = from_json(json.loads((Path(folder) / FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{shown}: holds no run; pass the folder of a training run") from None
    except OSError as error:
        reason = first_line(error)
        raise InputError(f"{shown}: cannot be read ({reason}); pass another folder") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{first_line(error)}{_written_by(folder)}"
        raise InputError(
            f"{shown}: its {FILE} does not describe a run ({reason}); pass another folder"
        ) from error
    return info


def _written_by(folder: str) -> str:
    """Names the version that wrote a `config.json`; empty if it is this version, or unknown."""
    try:
        value = json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
        version = value["jaxopt_notes"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ""
    other = isinstance(version, str) and version != __version__
    return f"; jaxopt_notes {version} wrote it, this is {__version__}" if other else ""


def refuse_moved(config: Settings, argument: str) -> None:
    """Raises InputError where the folder of pictures that a run was trained on is gone.

    Args:
      config: the run's settings.
      argument: the option and the run, for the error message.
    """
    if os.path.isabs(config.dataset) and not os.path.isdir(config.dataset):
        raise InputError(
            f"{argument}: the pictures it was trained on are not in {config.dataset}; pass "
            "--dataset with the folder that holds them now"
        )
