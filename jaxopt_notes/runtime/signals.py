"""Stops a command by signals: at once or, while it trains, after the current steps."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from types import FrameType
from typing import Any

from jaxopt_notes.runtime import streams
from jaxopt_notes.runtime.host import at_end, is_own_process

NAMES: dict[int, str] = {signal.SIGINT: "stopped", signal.SIGTERM: "terminated"}
HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows
if HANGUP is not None:
    NAMES[HANGUP] = "hung up"
AGAIN = 0.01  # seconds until a signal that Python ignored is sent again
ONE_EVENT = 0.1  # seconds in which equal signals count once: `timeout` sends SIGTERM twice


class Interrupted(KeyboardInterrupt):
    """A signal stops the command at this point."""


class Received:
    """The signals that a command has received.

    Attributes:
      signal: the first signal, if any.
      deferred: whether the first signal is only noted, not raised.
      raised: whether a signal was raised as an exception.
      ended: whether the command has ended; a signal then cuts short what Python and JAX clean up.
    """

    def __init__(self, stopped: str = "stopped") -> None:
        self.signal: int | None = None
        self.deferred = self.raised = self.ended = False
        self._stopped, self._time = stopped, 0.0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handles each signal: notes or raises the first one, and raises a second one.

        A terminal sends SIGHUP more than once when it closes. During an import this method ends the
        process, because C code that imports, such as numpy's, prints the exception or crashes.
        """
        first = self.signal is None
        if first:
            self.signal, self._time = number, time.monotonic()
        elif number == HANGUP or (
            number == signal.SIGTERM and time.monotonic() - self._time < ONE_EVENT
        ):
            return
        if first and self.deferred:
            return
        self.signal = number
        if is_own_process() and (self.ended or _imports(frame)):
            code = self.say()
            streams.wait(streams.PATIENCE)
            os._exit(code)
        if not self.ended:
            self.raised = True
            raise Interrupted

    def say(self) -> int:
        """Prints a line that says what ended the command; returns the command's exit code."""
        number = self.signal or signal.SIGINT
        print(self._stopped.replace("stopped", NAMES[number], 1), file=sys.stderr)
        return 128 + number


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


_current: ContextVar[Received | None] = ContextVar("received", default=None)


def current() -> Received:
    """The signals that the running command has received."""
    return _current.get() or Received()


@contextlib.contextmanager
def received(stopped: str) -> Iterator[Received]:
    """Within the block, the signals in `NAMES` raise `Interrupted`; afterwards restores handlers.

    Args:
      stopped: the line for Ctrl-C; for another signal, another word replaces "stopped".
    """
    stop = Received(stopped)
    token = _current.set(stop)
    before = _handle(stop)
    _raise_again_where_ignored(stop)
    try:
        yield stop
    finally:
        stop.ended = True
        _current.reset(token)
        if not is_own_process():
            _restore(before)


def _raise_again_where_ignored(stop: Received) -> None:
    """Has a signal sent again if Python ignored its exception, as in a destructor or a callback.

    A thread sends it, because Python would also ignore an exception that is raised in this hook.
    """
    hook = sys.unraisablehook

    def show(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, Interrupted) and not stop.ended:
            number, stop.signal = stop.signal or signal.SIGINT, None
            threading.Timer(AGAIN, _send, (number,)).start()
        else:
            hook(unraisable)

    at_end(setattr, sys, "unraisablehook", hook)
    sys.unraisablehook = show


def _send(number: int) -> None:
    """Sends a signal to the main thread; a signal to another thread would not end its waiting."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:  # on Windows
        signal.raise_signal(number)


@contextlib.contextmanager
def caught() -> Iterator[Received]:
    """Within the block, only notes the first signal; a second one raises `Interrupted`."""
    stop = current()
    before = _handle(stop)  # again: joining other processes made C++ handle SIGTERM
    stop.deferred = True
    try:
        yield stop
    finally:
        stop.deferred = False
        _restore(before)


def to_handle() -> list[int]:
    """The signals in `NAMES`, except a SIGHUP that nohup ignores, and those that C code handles."""
    before = {number: signal.getsignal(number) for number in NAMES}
    ignored = HANGUP is not None and before[HANGUP] is signal.SIG_IGN
    return [n for n in NAMES if before[n] is not None and not (ignored and n == HANGUP)]


def _handle(stop: Received) -> dict[int, Any]:
    """Takes over the signals; returns the old handlers. Only the main thread can do so."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, stop.handle) for number in to_handle()}


def _restore(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
