"""Silences what orbax writes to stderr, without importing orbax."""

import logging
import sys
from pathlib import Path
from typing import Any

from jaxopt_notes.runtime.host import at_end, set_log_level


def silence_orbax() -> None:
    """Suppresses what orbax and its abandoned reads write to stderr, until the command ends.

    Orbax logs each save, and logs errors that it also raises. Where one array is damaged, orbax
    abandons its reads of the other arrays; each abandoned read may print a traceback at any time.
    """
    for name in ("absl", "asyncio"):
        set_log_level(name, logging.CRITICAL)
    hook = sys.unraisablehook

    def show(unraisable: Any) -> None:
        code = getattr(unraisable.object, "cr_code", None)  # a coroutine's
        of_orbax = code is not None and "orbax" in Path(code.co_filename).parts
        if not of_orbax and str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    at_end(setattr, sys, "unraisablehook", hook)
    sys.unraisablehook = show
