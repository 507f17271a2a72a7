"""Signals that stop a training: noted, so that the current stretch of steps is finished first."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

NAMES: dict[int, str] = {signal.SIGINT: "stopped", signal.SIGTERM: "terminated"}


class Caught:
    """The signal that was received, if any."""

    def __init__(self) -> None:
        self.signal: int | None = None


@contextlib.contextmanager
def caught() -> Iterator[Caught]:
    """Within the block SIGINT and SIGTERM are only noted; a second one raises KeyboardInterrupt."""
    stop = Caught()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread can handle signals
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None:
            raise KeyboardInterrupt
        stop.signal = number

    before = {number: signal.signal(number, note) for number in NAMES}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
