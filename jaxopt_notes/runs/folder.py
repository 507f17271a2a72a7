"""Makes, checks and locks the folder of a run. Needs no JAX."""

import contextlib
import itertools
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.places import is_within

DEFAULT = "runs"  # holds the folders of runs without --out
_WRITTEN = ("config.json", "metrics.jsonl", "metrics.json", "checkpoints")
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\s]')  # each is special to some file system or shell
_LONGEST_PATH = 3600  # bytes, of 4,096: orbax adds folders and long names of its own
_LONGEST = 48  # characters of a data set's name: keeps the folder's name below 255 bytes


def refuse_used(path: str) -> None:
    """Raises InputError where a folder already holds a run, or files that a run would overwrite."""
    used = [name for name in _WRITTEN if os.path.lexists(os.path.join(path, name))]
    if "config.json" in used:
        raise InputError(
            f"--out {path}: already holds a run; continue it with --resume {path}, or pass "
            "another folder"
        )
    if used:
        raise InputError(
            f"--out {path}: already holds {used[0]}, which a run would overwrite; pass another "
            "folder"
        )


def _refuse_broken(path: str) -> None:
    """Raises InputError where a resumed run has a file in place of a folder, or vice versa."""
    for name, fits in (("checkpoints", os.path.isdir), ("metrics.jsonl", os.path.isfile)):
        part = os.path.join(path, name)
        if os.path.lexists(part) and not fits(part):
            kind = "folder" if name == "checkpoints" else "file"
            raise InputError(f"--resume {path}: its {name} is not a {kind}; move it away")


def refuse_inside(path: str, dataset: str) -> None:
    """Raises InputError where a run's folder lies in a data set of pictures, like a class."""
    if os.path.isabs(dataset) and is_within(path, dataset):
        raise InputError(
            f"--out {path}: is inside the data set's folder {dataset}, and would count as one of "
            "its classes; pass a folder outside"
        )


def create(path: str, resumed: bool = False) -> Path:
    """Makes the folder of a new run; checks the folder of a resumed run.

    Raises:
      InputError: the folder cannot be made or written to, or a new run's folder holds a run.
    """
    if resumed:
        _refuse_broken(path)
    else:
        refuse_used(path)
    return _make(path)


def _make(path: str) -> Path:
    """Makes a folder if it does not exist, and tries to write to it."""
    import tempfile  # here, so that `--help` does not wait for it

    _refuse_unfit(path)
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))  # a full disk may still have room for a name
    except OSError as error:
        raise _unwritable(path, error) from error
    return folder


def _refuse_unfit(path: str) -> None:
    """Raises InputError where the folder can be made, but checkpoints in it cannot."""
    whole = os.fsencode(os.path.abspath(path))
    if len(whole) > _LONGEST_PATH:
        raise InputError(
            f"--out {path}: its full path has {len(whole):,} bytes, too many for the files in it; "
            f"pass a path of at most {_LONGEST_PATH:,} bytes"
        )
    try:
        whole.decode()
    except UnicodeDecodeError:
        raise InputError(
            f"--out {path}: its full path is not UTF-8, which checkpoints need; pass another "
            "folder, or rename the part that is not"
        ) from None


def create_default(dataset: str, optimizer: str) -> Path:
    """Makes a folder with an unused name, because several runs may begin in the same second.

    Raises:
      InputError: the folder cannot be made or written to.
    """
    name = default_name(dataset, optimizer)
    path = os.path.join(DEFAULT, name)
    _make(DEFAULT)
    for number in itertools.count(2):
        try:
            os.mkdir(path)
            break
        except FileExistsError:
            path = os.path.join(DEFAULT, f"{name}-{number}")
        except OSError as error:
            raise _unwritable(path, error) from error
    return Path(path)


def default_name(dataset: str, optimizer: str) -> str:
    """DATASET-OPTIMIZER-TIME, in characters that every file system accepts.

    >>> default_name("emnist/letters:3.1.0", "adam")
    'emnist-letters-3.1.0-adam-...'
    """
    short = _NOT_IN_NAMES.sub("-", dataset)[:_LONGEST]
    return f"{short}-{optimizer}-{time.strftime('%Y%m%d-%H%M%S')}"


def write_config(folder: Path, value: Any) -> None:
    """Writes `config.json`, the file that marks the folder of a run.

    Raises:
      InputError: the file cannot be written.
    """
    from jaxopt_notes import files

    try:
        files.write_json(folder / "config.json", value)
    except OSError as error:
        raise _unwritable(str(folder), error) from error


def _unwritable(path: str, error: OSError) -> InputError:
    reason = "it is a file" if os.path.isfile(path) else first_line(error)
    return InputError(f"--out {path}: cannot be written ({reason}); pass another folder")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from training in a folder while the block runs.

    The operating system unlocks the folder however the process ends. Where there are no such locks,
    as on Windows, other processes are not kept out.

    Raises:
      InputError: another process has locked the folder.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        file = open(folder / ".lock", "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise _unwritable(str(folder), error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder}: another process is training in it; wait until it ends, or pass "
                "another folder"
            ) from None
        except OSError:  # a network file system without locks
            pass
        yield
