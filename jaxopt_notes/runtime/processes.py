"""Several devices and processes that train one network: which ones, and how they keep together.

The processes find each other by `jax.distributed`. Nothing here needs JAX before `join`, nor what
else is slow to import and of no use to a single process: `--help` must be quick.

JAX ends a process from within C++, by SIGABRT, when another one is gone, or when the coordinator
cannot be reached; no Python handler gets to run. So the command starts itself once more: the child
trains, the parent passes signals on and turns whatever end the child finds into an exit code and a
line. The child in turn ends when its parent does, however that was: its standard input is a pipe
that then closes.
"""

import json
import os
import re
import signal
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple

from jaxopt_notes.errors import InputError, first_line

START_SECONDS = 120  # for all processes to come together
HEARTBEAT_SECONDS = 20  # after so long without one a process counts as gone
_AGAIN = "if another process is gone, start all again, with --resume"
_CHILD = "JAXOPT_NOTES_SUPERVISED"


class Processes(NamedTuple):
    """Where a process finds the others; all None: JAX finds out (Slurm, Open MPI, GKE, TPU pods).

    Attributes:
      coordinator: HOST:PORT, on which process 0 listens.
      number: of processes.
      process: which of them this is, from 0.
    """

    coordinator: str | None = None
    number: int | None = None
    process: int | None = None


def processes_from(
    coordinator: str | None, count: int | None, index: int | None, detect: bool
) -> Processes | None:
    """The processes that the options describe; None for a run in one.

    Raises:
      InputError: some of the three are missing, or one is impossible.
    """
    given = {"--coordinator": coordinator, "--processes": count, "--process-id": index}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        return Processes() if detect else None
    if missing:
        raise InputError(f"{', '.join(missing)}: missing; give all of {', '.join(given)}")
    if detect:
        raise InputError("--distributed: finds out itself what --coordinator says; give one")
    if not re.fullmatch(r".+:\d{1,5}", str(coordinator), re.ASCII):
        raise InputError(f"--coordinator {coordinator}: give HOST:PORT, such as 10.0.0.1:1234")
    if count is None or count < 1:
        raise InputError(f"--processes {count}: give a whole number from 1")
    if index is None or not 0 <= index < count:
        raise InputError(f"--process-id {index}: give a whole number from 0 to {count - 1}")
    return Processes(coordinator, count, index)


def mesh_size(text: str | None) -> int | None:
    """How many devices "data=8" asks for; None from None.

    Raises:
      InputError: another axis, or not a whole number from 1.

    >>> mesh_size("data=8")
    8
    """
    if text is None:
        return None
    axis, _, size = text.partition("=")
    if axis != "data":
        raise InputError(f"--mesh {text}: unknown axis {axis}; give data=N")
    if not re.fullmatch(r"[1-9]\d{0,8}", size, re.ASCII):
        raise InputError(f"--mesh {text}: give data=N with a whole number from 1")
    return int(size)


def is_supervised() -> bool:
    """Whether this process is the child that trains."""
    return _CHILD in os.environ


def supervise(module: str, argv: Sequence[str]) -> int:
    """Runs `python -m module argv…` as a child; returns its exit code, 1 if a signal ended it."""
    import subprocess

    child = subprocess.Popen(
        [sys.executable, "-m", module, *argv],
        stdin=subprocess.PIPE,
        env=os.environ | {_CHILD: "1"},
        start_new_session=True,  # a Ctrl-C in the terminal is for the parent to pass on, once
    )

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    code = child.wait()
    if code >= 0:
        return code
    name = signal.Signals(-code).name
    why = "it lost the others" if name == "SIGABRT" else "somebody ended it, or memory was full"
    print(f"error: this process ended by {name}: {why}; {_AGAIN}", file=sys.stderr)
    return 1


def train_joined(processes: Processes, train: Callable[[], int]) -> int:
    """Joins the others, trains, and returns the exit code.

    After a fault of its own the process ends at once: an orderly end would wait for the others.
    """
    try:
        join(processes)
        return train()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    # What a lost process raises depends on the devices and on what this one was about.
    except Exception as error:
        if type(error).__name__ != "JaxRuntimeError" and "Gloo" not in str(error):
            import traceback

            traceback.print_exc()
        print(f"error: {first_line(error)}; {_AGAIN}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(1)  # the others may be about to find the same fault, and to name it
    os._exit(code)


def join(processes: Processes) -> None:
    """Brings the processes together; to be called before JAX does anything.

    Raises:
      InputError: JAX does not know where the others are.
    """
    import threading

    threading.Thread(target=_end_with_parent, daemon=True).start()
    import jax

    try:
        jax.distributed.initialize(
            *processes,
            cluster_detection_method="deactivate" if processes.coordinator else None,
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=START_SECONDS,
        )
    except ValueError as error:
        raise InputError(
            f"--distributed: JAX finds no cluster here ({error}); "
            "give --coordinator, --processes and --process-id"
        ) from error
    except RuntimeError as error:
        raise InputError(f"--coordinator {processes.coordinator}: {error}") from error


def leads() -> bool:
    """Whether this process is the one that writes and prints."""
    return _index() == 0


def _index() -> int:
    import jax

    return jax.process_index()


def largest(number: int) -> int:
    """The largest of all processes' numbers: what one of them has noticed, all of them know."""
    import jax

    if jax.process_count() == 1:
        return number
    import numpy as np
    from jax.experimental import multihost_utils

    return int(multihost_utils.process_allgather(np.int32(number)).max())


def refuse_unequal(settings: dict[str, Any]) -> None:
    """Raises InputError unless all processes were started with the same settings and data."""
    text = json.dumps(settings, sort_keys=True)
    mine = zlib.crc32(text.encode()) >> 1
    most, least = largest(mine), -largest(-mine)
    if most != least:
        raise InputError(f"process {_index()}: has other settings or data than another process")


def from_first(text: str) -> str:
    """Process 0's text, of up to 4,096 bytes."""
    import jax

    if jax.process_count() == 1:
        return text
    import numpy as np
    from jax.experimental import multihost_utils

    padded = np.frombuffer(text.encode().ljust(4096, b"\0"), np.uint8)
    told = np.asarray(multihost_utils.broadcast_one_to_all(padded), np.uint8)
    return told.tobytes().rstrip(b"\0").decode()


def _end_with_parent() -> None:
    while os.read(0, 1):  # not `sys.stdin`, whose lock the interpreter wants when it ends
        pass
    os._exit(1)
