"""Signals that end a run: noted, so that the stretch of steps under way is finished and kept."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

NAMES: dict[int, str] = {signal.SIGINT: "stopped", signal.SIGTERM: "terminated"}


class Caught:
    """The signal that came, if one did."""

    def __init__(self) -> None:
        self.signal: int | None = None


@contextlib.contextmanager
def caught() -> Iterator[Caught]:
    """Within the block SIGINT and SIGTERM are noted only; a second one ends the process at once."""
    found = Caught()
    if threading.current_thread() is not threading.main_thread():
        yield found  # signals are the main thread's
        return

    def note(number: int, frame: FrameType | None) -> None:
        if found.signal is not None:
            raise KeyboardInterrupt
        found.signal = number

    before = {number: signal.signal(number, note) for number in NAMES}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
