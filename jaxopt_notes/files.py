"""Writes a file whole, or keeps the old one. Needs only the standard library."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def open_whole(path: Path) -> Iterator[IO[bytes]]:
    """Opens a binary file that replaces `path` when the block ends.

    If the block raises, or the process is killed, `path` stays as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_whole(Path(folder) / "a.txt") as file:
    ...         _ = file.write(b"all of it")
    ...     (Path(folder) / "a.txt").read_bytes()
    b'all of it'

    Raises:
      OSError: the file cannot be written.
    """
    # The name holds the process's number, because two processes may write one file at once. It
    # takes only 48 characters of `path`'s name, because a name has at most 255 bytes.
    beside = path.with_name(f".{path.name[:48]}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            yield file
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Writes bytes, as `open_whole` does."""
    with open_whole(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Writes text as UTF-8, as `open_whole` does.

    Bytes in a file's name that are not UTF-8 are written as JSON escapes.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Writes one JSON value over several lines, as `open_whole` does."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes one JSON object per line, as `open_whole` does."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
