"""Changes settings of the host process for a command, and restores them when the command ends.

The host process may be a notebook or another program that calls `jaxopt_notes.train.main([...])`.
It owns its logging levels, hooks, JAX settings and environment. So code that changes one of them
for a command first tells `at_end` how to undo the change. Needs only the standard library.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

_undo: ContextVar[contextlib.ExitStack | None] = ContextVar("undo", default=None)
_own_process = False
_entered: list[AbstractContextManager[Any]] = []


@contextlib.contextmanager
def host_settings() -> Iterator[None]:
    """Undoes, at the end of the block, the changes that `at_end` recorded; the last one first.

    >>> settings = {"level": "warning"}
    >>> with host_settings():
    ...     at_end(settings.update, {"level": "warning"})
    ...     settings["level"] = "silent"
    >>> settings
    {'level': 'warning'}
    """
    if _own_process:
        yield
        return
    with contextlib.ExitStack() as undo:
        token = _undo.set(undo)
        try:
            yield
        finally:
            _undo.reset(token)


def at_end(undo: Callable[..., Any], *args: Any) -> None:
    """Has the running command call `undo(*args)` at its end.

    Outside a command nothing is undone: the library's caller decides for itself.
    """
    if (stack := _undo.get()) is not None:
        stack.callback(undo, *args)


def own_process() -> None:
    """Declares that this process runs one command and ends with it: nothing is restored.

    The settings must hold to the end, because orbax's threads may write to stderr until then.
    """
    global _own_process
    _own_process = True


def is_own_process() -> bool:
    """Whether this process runs one command and ends with it."""
    return _own_process


def enter(context: AbstractContextManager[Any]) -> None:
    """Enters a context manager, and leaves it when the command ends."""
    context.__enter__()
    _entered.append(context)  # keep a reference: without one, a generator's block ends
    at_end(_leave, context)


def _leave(context: AbstractContextManager[Any]) -> None:
    _entered.remove(context)
    context.__exit__(None, None, None)


def set_log_level(name: str, level: int) -> None:
    """Sets a logger's level until the command ends."""
    import logging

    logger = logging.getLogger(name)
    at_end(logger.setLevel, logger.level)
    logger.setLevel(level)


def silence_matplotlib() -> None:
    """Suppresses matplotlib's warnings that it cannot save its list of fonts without a home folder.

    The suppression holds until the command ends.
    """
    import logging

    set_log_level("matplotlib", logging.ERROR)


def set_environment_default(name: str, value: str) -> None:
    """Sets an environment variable until the command ends, unless it is set already."""
    import os

    if name not in os.environ:
        at_end(os.environ.pop, name, None)
        os.environ[name] = value


def set_jax(name: str, value: Any) -> None:
    """Sets one of JAX's options until the command ends."""
    import jax

    # Not every option is an attribute of jax.config.
    at_end(jax.config.update, name, jax.config.values[name])
    jax.config.update(name, value)
