"""Connects several processes that train one network, and ends them together.

`jax.distributed` connects the processes. Before `join`, nothing here imports JAX or another slow
module that a single process does not need: `--help` must be quick.

When another process is gone or the coordinator cannot be reached, JAX ends this process by SIGABRT
from within C++, and no Python handler runs. The command therefore starts itself again as a child.
The child trains; the parent passes signals on and turns the child's end into an exit code and one
line. The child ends whenever its parent ends, because the pipe on its standard input then closes.
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
from jaxopt_notes.runtime import streams
from jaxopt_notes.runtime.host import at_end
from jaxopt_notes.runtime.signals import current, to_handle

START_SECONDS = 120  # how long the processes wait for each other to connect
HEARTBEAT_SECONDS = 20  # a process that sends no heartbeat for this long counts as gone
_AGAIN = "if another process ended, start all of them again with --resume"
_CHILD = "JAXOPT_NOTES_SUPERVISED"


class Processes(NamedTuple):
    """How a process connects to the other processes.

    JAX detects values that are None (with Slurm, Open MPI, GKE and TPUs).

    Attributes:
      coordinator: HOST:PORT on which process 0 listens.
      number: the number of processes.
      process: the number of this process, counted from 0.
    """

    coordinator: str | None = None
    number: int | None = None
    process: int | None = None


def processes_from(
    coordinator: str | None, count: int | None, index: int | None, detect: bool
) -> Processes | None:
    """The processes that the options describe; None for training in a single process.

    Raises:
      InputError: some of the three options are missing, or one has an impossible value.
    """
    options = {"--coordinator": coordinator, "--processes": count, "--process-id": index}
    missing = [name for name, value in options.items() if value is None]
    if len(missing) == 3:
        return Processes() if detect else None
    if missing:
        raise InputError(f"{', '.join(missing)}: missing; pass all of {', '.join(options)}")
    if detect:
        raise InputError("--distributed: detects what --coordinator sets; pass only one of them")
    if not re.fullmatch(r".+:\d{1,5}", str(coordinator), re.ASCII):
        raise InputError(
            f"--coordinator {coordinator}: is not HOST:PORT; pass one such as 10.0.0.1:1234"
        )
    if count is None or count < 1:
        raise InputError(f"--processes {count}: is not a whole number from 1; pass one")
    if index is None or not 0 <= index < count:
        raise InputError(
            f"--process-id {index}: is out of range; pass a whole number from 0 to {count - 1}"
        )
    return Processes(coordinator, count, index)


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
        start_new_session=True,  # the parent alone gets a Ctrl-C, and passes it on once
    )

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in to_handle():
        at_end(signal.signal, number, signal.signal(number, pass_on))
    code = child.wait()
    if code >= 0:
        return code
    name = signal.Signals(-code).name
    lost, killed = "it lost the other processes", "it was killed, or memory was full"
    why = lost if name == "SIGABRT" else killed
    print(f"error: this process ended by {name}: {why}; {_AGAIN}", file=sys.stderr)
    return 1


def train_joined(processes: Processes, train: Callable[[], int]) -> int:
    """Joins the other processes, trains, and returns the exit code.

    After an error the process ends at once: an orderly end would wait for the other processes.
    """
    try:
        join(processes)
        return train()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    # Any exception: after the loss of another process, its type depends on the devices and on the
    # current operation.
    except Exception as error:
        if type(error).__name__ != "JaxRuntimeError" and "Gloo" not in str(error):
            import traceback

            traceback.print_exc()
        print(f"error: {first_line(error)}; {_AGAIN}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = current().say()
    streams.wait(streams.PATIENCE)
    time.sleep(1)  # the other processes may be about to report the same error
    os._exit(code)


def join(processes: Processes) -> None:
    """Connects the processes; call it before JAX does anything.

    Raises:
      InputError: JAX cannot connect to the other processes.
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
            f"--distributed: JAX detects no cluster here ({first_line(error)}); "
            "pass --coordinator, --processes and --process-id"
        ) from error
    except RuntimeError as error:
        raise InputError(f"--coordinator {processes.coordinator}: {first_line(error)}") from error


def leads() -> bool:
    """Whether this process is the one that writes and prints."""
    return _index() == 0


def _index() -> int:
    import jax

    return jax.process_index()


def largest(number: int) -> int:
    """The largest of all processes' numbers; all processes thus learn what one has noticed."""
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
        raise InputError(
            f"process {_index()}: its settings or data differ from another process's; "
            "start all of them with the same options and data"
        )


def from_first(text: str) -> str:
    """Process 0's text, such as a path; at most 4,096 bytes."""
    import jax

    if jax.process_count() == 1:
        return text
    import numpy as np
    from jax.experimental import multihost_utils

    padded = np.frombuffer(os.fsencode(text).ljust(4096, b"\0"), np.uint8)
    received = np.asarray(multihost_utils.broadcast_one_to_all(padded), np.uint8)
    return os.fsdecode(received.tobytes().rstrip(b"\0"))


def _end_with_parent() -> None:
    while os.read(0, 1):  # not `sys.stdin`, because the interpreter takes its lock at exit
        pass
    os._exit(1)
