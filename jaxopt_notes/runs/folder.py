"""The folder of a run, and files that are whole or not there. Needs no JAX."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes.errors import InputError


def refuse_used(path: str) -> None:
    """Raises InputError where a folder holds a run already."""
    if (Path(path) / "config.json").exists():
        raise InputError(f"--out {path}: holds a run already; --resume it, or give another folder")


def create(path: str, resumed: bool = False) -> Path:
    """Makes the run's folder, or takes the one that is there to go on in.

    Raises:
      InputError: it cannot be made or written to, or holds a run that is not to be resumed.
    """
    import tempfile  # here, so that `--help` need not wait for it

    if not resumed:
        refuse_used(path)
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"--out {path}: cannot be written ({reason(error)}); give another"
        ) from error
    return folder


def reason(error: Exception) -> str:
    """Why it failed, in a few words of one line."""
    text = getattr(error, "strerror", None) or str(error).strip().split("\n")[0]
    return (text or type(error).__name__)[:160]


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps other processes from running in a folder as long as the block lasts.

    The system lets go of the folder whatever becomes of the process. Where it has no such locks,
    as on Windows, nothing is kept.

    Raises:
      InputError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder}: another process is running in it; wait for it, or give another folder"
            ) from None
        except OSError:  # a network file system without locks
            pass
        yield


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes one JSON value, readable by a person."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes JSON lines."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
