"""The settings of a process that the package must not change."""

import gc
import logging
import os
import signal
import sys
import warnings
from typing import Any

import jax

UNTOUCHED = (logging.NOTSET, [], [], False, True)  # a logger that nobody has set


def state() -> dict[str, Any]:
    """A copy of the process's settings, by name."""
    loggers = {"root": logging.root, **logging.root.manager.loggerDict}
    logs = {
        f"logger {name}": (
            *(log.level, list(log.handlers), list(log.filters)),
            *(log.disabled, log.propagate),
        )
        for name, log in loggers.items()
        if isinstance(log, logging.Logger)
    }
    return {
        "unraisablehook": sys.unraisablehook,
        "excepthook": sys.excepthook,
        "gc threshold": gc.get_threshold(),
        "warnings": list(warnings.filters),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "sys.path": list(sys.path),
        **{f"environment {name}": value for name, value in os.environ.items()},
        **{f"jax {name}": value for name, value in jax.config.values.items()},
        **{name: log for name, log in logs.items() if log != UNTOUCHED},
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Setting → its values before and after, of those that differ."""
    return {
        name: (before.get(name), after.get(name))
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    }
