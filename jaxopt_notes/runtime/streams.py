"""Makes a command's output robust: printed at once, or dropped, whoever reads it.

While a command runs, `sys.stdout` and `sys.stderr` are `Output`s around the host's streams. So
output of argparse, tqdm and other packages is treated like our own lines:

- a line is flushed when it is complete;
- characters that the stream's encoding lacks are replaced;
- a stream that is missing (None) or closed accepts everything and shows nothing;
- when nobody reads stdout any more, the command ends quietly or goes on in silence.

Needs only the standard library.
"""

import os
import queue
import select
import sys
import threading
from typing import Any

from jaxopt_notes.errors import first_line
from jaxopt_notes.runtime.host import at_end, is_own_process

PATIENCE = 2.0  # seconds that a reader has for the last lines after a signal
IN_ORDER = 0.05  # seconds that a line on stderr waits for earlier lines on stdout


class NobodyReadsError(BaseException):
    """The reader of stdout has gone, as `head -1` goes after one line."""


class UnwritableError(BaseException):
    """Stdout cannot be written, for example because the disk is full."""


class Output:
    """Replaces a text stream while a command runs; passes other attributes through to it."""

    def __init__(self, stream: Any, essential: bool = False, after: "Output | None" = None) -> None:
        """Wraps a stream.

        Args:
          stream: the host's stream; None where there is none.
          essential: whether the command is pointless when nobody can read the stream.
          after: the output whose earlier lines are written first.
        """
        self.essential = essential
        self._stream, self._after = stream, after
        self._fd = _descriptor(stream) if is_own_process() else None
        self._line = ""
        self._silent = stream is None
        self._queue: queue.SimpleQueue[str | threading.Event] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Whether the stream is a terminal, which can show a progress bar."""
        try:
            return bool(self._stream.isatty())
        except (AttributeError, ValueError, OSError):  # missing, of another kind, or closed
            return False

    def write(self, text: str) -> int:
        """Takes text, and flushes if the text ends a line.

        Raises:
          NobodyReadsError, UnwritableError: the stream is essential and cannot be written.
        """
        self._line += text
        if "\n" in text:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Passes the text on to the stream; raises as `write` does."""
        text, self._line = self._line, ""
        if self._silent or not text:
            return
        if self._after is not None:
            self._after.wait(IN_ORDER)
        if self._queue is not None:
            self._queue.put(text)
        else:
            self._hand_over(text)

    def in_background(self) -> None:
        """Lets a thread write from now on, so that a slow reader does not hold up the command.

        A terminal is written to directly as before, because a progress bar shares its lines.
        """
        if self._queue is None and self._fd is not None and not self.isatty():
            self._queue = queue.SimpleQueue()
            threading.Thread(target=self._write_on, args=(self._queue,), daemon=True).start()

    def wait(self, seconds: float | None) -> None:
        """Waits until all lines are written, but at most `seconds`."""
        if self._queue is not None:
            written = threading.Event()
            self._queue.put(written)
            written.wait(seconds)

    def _write_on(self, texts: "queue.SimpleQueue[str | threading.Event]") -> None:
        while True:
            text = texts.get()
            if isinstance(text, threading.Event):
                text.set()
            elif not self._silent:
                self._hand_over(text)

    def _hand_over(self, text: str) -> None:
        try:
            self._encode_and_write(text)
        except BrokenPipeError as error:
            self._silent = True
            if self.essential:
                raise NobodyReadsError from error
        except (OSError, ValueError) as error:  # ValueError: it is closed
            self._silent = True
            if self.essential:
                raise UnwritableError(first_line(error)) from error
            if self is sys.stdout:
                reason = first_line(error)
                print(f"note: standard output: cannot be written ({reason})", file=sys.stderr)

    def _encode_and_write(self, text: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        errors = getattr(self._stream, "errors", None) or "strict"
        try:
            content = text.encode(encoding, errors)
        except UnicodeEncodeError:
            content = text.encode(encoding, "replace")
            text = content.decode(encoding)
        if self._fd is not None:
            _write_all(self._fd, content)
            return
        self._stream.write(text)
        if hasattr(self._stream, "flush"):
            self._stream.flush()


def guard() -> None:
    """Replaces stdout and stderr by an `Output` each, until the command ends."""
    at_end(setattr, sys, "stdout", sys.stdout)
    at_end(setattr, sys, "stderr", sys.stderr)
    stdout = Output(sys.stdout, essential=True)
    sys.stdout, sys.stderr = stdout, Output(sys.stderr, after=stdout)


def outlive_readers() -> None:
    """Lets a command that writes files go on if nobody reads its output, or reads it slowly."""
    for output in _outputs():
        output.essential = False
        output.in_background()


def wait(seconds: float | None = None) -> None:
    """Waits until all output is written, but at most `seconds`."""
    for output in _outputs():
        output.flush()
        output.wait(seconds)


def open_missing() -> None:
    """Opens /dev/null for each standard descriptor that is closed.

    Otherwise the next file that is opened gets the number of the closed descriptor, and C++ code
    that logs to stderr writes into that file.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def _outputs() -> list[Output]:
    return [each for each in (sys.stdout, sys.stderr) if isinstance(each, Output)]


def _descriptor(stream: Any) -> int | None:
    """The stream's file descriptor; None where there is none, or where it translates line ends."""
    if os.name != "posix":
        return None
    try:
        stream.flush()
        return int(stream.fileno())
    except (AttributeError, ValueError, OSError):
        return None


def _write_all(fd: int, content: bytes) -> None:
    """Writes everything, even where another program has made the descriptor non-blocking."""
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            select.select([], [fd], [])
