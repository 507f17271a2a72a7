"""Decoded arrays kept inside a prepared TFDS directory, so that each is decoded only once.

The cache is one uncompressed .npz: a single file can be put in place atomically, and `read_npz`
checks every byte of it, so that a truncated or damaged cache is noticed and ignored.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from jaxopt_notes import files
from jaxopt_notes.data.arrays import DamagedError, read_npz
from jaxopt_notes.data.dataset import Dataset

FILE = "jaxopt_notes.npz"
_LAYOUT = "1"  # raise it when the arrays' meaning changes
_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def load(builder_dir: Path, name: str) -> Dataset | None:
    """Returns the cached data set, or None where there is none, or none that can be trusted."""
    try:
        with (builder_dir / FILE).open("rb") as file:
            stored = read_npz(file)
        if str(stored["source"]) != _source(builder_dir):
            return None
        arrays = {key: stored[key] for key in _ARRAYS}
        class_names = tuple(str(text) for text in stored["class_names"])
        return Dataset(name=name, class_names=class_names, note=str(stored["note"]), **arrays)
    except (OSError, KeyError, DamagedError):
        return None


def save(builder_dir: Path, dataset: Dataset) -> bool:
    """Writes the cache, whole or not at all, and returns whether it could.

    A prepared directory may be read-only or its disk full: then the set is decoded each time.
    """
    members: dict[str, Any] = {key: getattr(dataset, key) for key in _ARRAYS}
    members |= {
        "source": np.array(_source(builder_dir)),
        "class_names": np.array(dataset.class_names),
        "note": np.array(dataset.note),
    }
    try:
        with files.open_whole(builder_dir / FILE) as file:
            np.savez(file, **members)
    except OSError:
        return False
    return True


def _source(builder_dir: Path) -> str:
    """Returns a digest of what the cache was decoded from: TFDS's metadata and the shards.

    Their contents, as array_record's files come in sizes of whole blocks. The shards are
    compressed, so that this takes less time than reading the cache.
    """
    digest = hashlib.sha256(_LAYOUT.encode())
    for path in sorted(builder_dir.iterdir()):
        if path.suffix in (".json", ".txt") or "-of-" in path.name:  # class names are in a .txt
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()
