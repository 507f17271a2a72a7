"""The folder of a run: made, checked, and locked. Needs no JAX."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from jaxopt_notes.errors import InputError, first_line


def refuse_used(path: str) -> None:
    """Raises InputError where a folder already holds a run."""
    if (Path(path) / "config.json").exists():
        raise InputError(
            f"--out {path}: already holds a run; train on with --resume {path}, "
            "or pass another folder"
        )


def create(path: str, resumed: bool = False) -> Path:
    """Makes the folder of a run; the folder of a resumed run is there already.

    Raises:
      InputError: it cannot be made or written to, or holds a run and is not to be resumed.
    """
    import tempfile  # here, so that `--help` does not wait for it

    if not resumed:
        refuse_used(path)
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = first_line(error)
        raise InputError(
            f"--out {path}: cannot be written ({reason}); pass another folder"
        ) from error
    return folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from training in a folder while the block runs.

    The operating system unlocks the folder however the process ends. Where it has no such locks, as
    on Windows, other processes are not kept out.

    Raises:
      InputError: another process has locked the folder.
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
                f"{folder}: another process is training in it; wait for its end, "
                "or pass another folder"
            ) from None
        except OSError:  # a network file system without locks
            pass
        yield
