"""The folder of a run, and files that are whole or not there. Needs no JAX."""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes.errors import InputError


def refuse_used(path: str) -> None:
    """Raises InputError where a folder holds a run already."""
    if (Path(path) / "config.json").exists():
        raise InputError(f"--out {path}: holds a run already; give another folder")


def create(path: str) -> Path:
    """Makes the run's folder.

    Raises:
      InputError: it cannot be made or written to, or holds a run already.
    """
    refuse_used(path)
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--out {path}: cannot be written ({reason}); give another") from error
    return folder


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def write_json(path: Path, value: Any) -> None:
    """Writes one JSON value, readable by a person."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes JSON lines."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
