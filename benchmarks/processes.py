"""Times whole processes, from their start to their end."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.harness import ENVIRONMENT


class Finished(NamedTuple):
    """A process that ended well: by `time.monotonic`, which all processes share, when it began."""

    began: float
    seconds: float
    printed: str


class Failed(Exception):  # noqa: N818 - the contestant's, no error of ours
    """A process that did not; says its last words."""


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
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Failed(f"failed: {said[-1][:200] if said else f'exit code {done.returncode}'}")
    return Finished(start, seconds, done.stdout)
