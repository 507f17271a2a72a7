"""Finds the data sets that are already prepared in a TFDS data directory, without importing TFDS.

TFDS's layout is `<data_dir>/<name>[/<config>]/<version>/dataset_info.json`.
"""

import re
from pathlib import Path

from jaxopt_notes.data import errors
from jaxopt_notes.data.dataset import Dataset
from jaxopt_notes.data.tfds import cache
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require

_NAME = re.compile(r"(?P<set>\w+)(/(?P<config>[^/:]+))?(:(?P<version>\d+\.\d+\.\d+))?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def find(name: str, data_dir: Path) -> Path | None:
    """Returns the prepared directory of `name`, or None.

    Args:
      name: as TFDS writes it: `cifar10`, `emnist/letters`, `mnist:3.0.1`. Without a version the
        newest is taken; without a config the only one that is prepared.
      data_dir: TFDS's data directory.

    Raises:
      DataDirError: the data directory is a file.
      InputError: several configs are prepared and `name` says none.
    """
    if data_dir.exists() and not data_dir.is_dir():
        raise errors.DataDirError(f"data_dir='{data_dir}': not a folder; pass a folder")
    parts = _NAME.fullmatch(name)
    if parts is None or parts["config"] in (".", ".."):
        return None
    root = data_dir / parts["set"]
    if parts["config"]:
        return _newest(root / parts["config"], parts["version"])
    if newest := _newest(root, parts["version"]):
        return newest
    configs = {
        path.name: folder for path in _folders(root) if (folder := _newest(path, parts["version"]))
    }
    if len(configs) > 1:
        choices = ", ".join(f"{parts['set']}/{config}" for config in configs)
        raise InputError(
            f"dataset='{name}': several of its configs are prepared in {data_dir}; pass one of "
            f"{choices}"
        )
    return next(iter(configs.values()), None)


def names(data_dir: Path) -> list[str]:
    """Returns the names of all sets prepared in a data directory, configs included."""
    sets = []
    for root in _folders(data_dir):
        if _newest(root, None):
            sets.append(root.name)
        sets += [f"{root.name}/{path.name}" for path in _folders(root) if _newest(path, None)]
    return sets


def load(builder_dir: Path, name: str) -> Dataset:
    """Returns the data set of a prepared directory, from its cache where it has one.

    Raises:
      InputError: it is not a set of small images with labels, or it is damaged.
    """
    if (cached := cache.load(builder_dir, name)) is not None:
        return cached
    require(f"dataset='{name}'", "train")
    from jaxopt_notes.data.tfds import decoding  # imports TFDS

    dataset = decoding.decode(builder_dir, name)
    cache.save(builder_dir, dataset)
    return dataset


def _folders(path: Path) -> list[Path]:
    return sorted(item for item in path.iterdir() if item.is_dir()) if path.is_dir() else []


def _newest(path: Path, version: str | None) -> Path | None:
    """Returns the newest version's directory within `path`, or the given version's, or None."""
    whole = [
        folder
        for folder in _folders(path)
        if _VERSION.fullmatch(folder.name) and (folder / "dataset_info.json").is_file()
        if version in (None, folder.name)
    ]
    return max(whole, key=lambda folder: [int(n) for n in folder.name.split(".")], default=None)
