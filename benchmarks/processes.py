"""Times whole processes, from their start to their end."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Timer
from typing import IO, NamedTuple

from benchmarks.harness import ENVIRONMENT


class Finished(NamedTuple):
    """A process that succeeded; it began at a time of `time.monotonic`, which processes share."""

    began: float
    seconds: float
    printed: str


class Failed(Exception):  # noqa: N818 - a contestant's failure, not an error of ours
    """A process failed; the text is the last line of its output."""


def timed_process(arguments: Sequence[str], environment: dict[str, str]) -> Finished:
    """Runs `python ARGUMENTS` and measures the wall clock.

    Raises:
      Failed: the exit code is not 0.
    """
    everything = {**os.environ, **ENVIRONMENT, **environment}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=everything
    )
    seconds = time.monotonic() - start
    if done.returncode:
        raise Failed(f"failed: {last_line(done.stderr) or f'exit code {done.returncode}'}")
    return Finished(start, seconds, done.stdout)


class Limited(NamedTuple):
    """A process with a time limit: its output, and why it failed (empty if it did not fail)."""

    printed: str
    failed: str


def limited_process(
    arguments: Sequence[str],
    environment: dict[str, str],
    limit: float,
    show: Callable[[str], None],
) -> Limited:
    """Runs `python ARGUMENTS`; after `limit` seconds ends it and all processes that it started.

    Args:
      arguments: arguments of python.
      environment: variables to add to this process's own.
      limit: seconds.
      show: called with each line of output as soon as it is printed.
    """
    cut = False

    def stop() -> None:
        nonlocal cut
        cut = True
        _end(process)

    with tempfile.TemporaryFile("w+") as log:
        process = _in_group(arguments, environment, log)
        timer = Timer(limit, stop)
        timer.start()
        lines = []
        try:
            for line in process.stdout or ():
                lines.append(line)
                show(line.rstrip("\n"))
            code = process.wait()
        finally:
            timer.cancel()
            _end(process)
        log.seek(0)
        failed = f"failed: {last_line(log.read()) or f'exit code {code}'}" if code else ""
    if cut:
        failed = f"stopped at its time limit, {limit:.0f} s"
    return Limited("".join(lines), failed)


def _in_group(
    arguments: Sequence[str], environment: dict[str, str], log: IO[str]
) -> subprocess.Popen[str]:
    """Starts a process that leads its own process group, where the system has such groups."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, **ENVIRONMENT, "PYTHONUNBUFFERED": "1", **environment},
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    """Kills a process and its group; does nothing if they have ended."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def last_line(text: str) -> str:
    """The last line that is not empty, shortened.

    >>> last_line("Traceback:\\n  …\\nValueError: no\\n\\n")
    'ValueError: no'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
