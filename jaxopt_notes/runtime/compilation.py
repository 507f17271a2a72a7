"""Shortens the wait for programs: keeps compiled ones on disk, and compiles with less effort."""

import contextlib
import glob
import os
import re
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from jaxopt_notes.errors import first_line
from jaxopt_notes.runtime.host import at_end, set_jax


def keep_compiled(folder: str | None) -> None:
    """Turns on the persistent cache for all programs that this process compiles from now on.

    A command restores JAX's settings at its end.

    Args:
      folder: where to keep programs; None to keep none. If the folder cannot be written, a line
        on stderr says so, and no program is kept.
    """
    if folder is not None and (reason := _refused(folder)):
        print(f"note: compiled programs are not cached: {reason}", file=sys.stderr)
        folder = None
    at_end(compilation_cache.reset_cache)
    if folder is None:
        set_jax("jax_enable_compilation_cache", False)
    else:
        set_jax("jax_enable_compilation_cache", True)
        set_jax("jax_compilation_cache_dir", folder)
        # A run starts with many small programs; together they cost more than the large one.
        set_jax("jax_persistent_cache_min_compile_time_secs", 0.0)
        _replace_damaged(folder)
    compilation_cache.reset_cache()  # else JAX keeps using its first folder


def _refused(folder: str) -> str:
    """The reason why a folder cannot keep programs; empty where it can."""
    if folder.startswith("~"):
        return "this user has no home directory; pass --compilation-cache DIR"
    if not _is_utf8(folder):
        return f"{folder!r}: is not UTF-8, which XLA needs; pass --compilation-cache DIR"
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        reason = first_line(error)
    else:
        reason = "" if os.access(folder, os.W_OK) else "Permission denied"
    return reason and f"{folder}: cannot be written ({reason}); pass --compilation-cache DIR"


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # the path has bytes that Python could not decode
        return False
    return True


def _replace_damaged(folder: str) -> None:
    """Removes a damaged program when JAX fails to read it, so that JAX writes a new one.

    JAX itself only warns, compiles, and leaves the damaged file to the next process.
    """
    show = warnings.showwarning

    def remove(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        damaged = re.match(r"Error reading persistent compilation .* '([^']+)'", str(message))
        if damaged is None:
            show(message, *args, **kwargs)
            return
        for path in glob.glob(os.path.join(glob.escape(folder), f"{glob.escape(damaged[1])}-*")):
            with contextlib.suppress(OSError):
                os.remove(path)

    at_end(setattr, warnings, "showwarning", show)
    warnings.showwarning = remove


def compile_in_thread(compile_program: Callable[[], Any]) -> Future[Any]:
    """Has a thread compile a traced program, because XLA compiles without Python's lock.

    A thread cannot trace it: tracing depends on settings that JAX keeps per thread, compiling does
    not.
    """
    pool = ThreadPoolExecutor(1, "compile")
    compiled = pool.submit(compile_program)
    pool.shutdown(wait=False)
    return compiled


# XLA's options for a CPU: LLVM's level of optimisation.
OPTIONS: dict[str, Any] = {"xla_backend_optimization_level": 1}


def sooner() -> dict[str, Any]:
    """Arguments of `jax.jit` that shorten compilation and leave the code about as fast.

    On a CPU they select LLVM's first level of optimisation; higher levels gain nothing more in a
    training step (figures in benchmarks/README.md). JAX accepts them only for an outermost jit.
    """
    on_cpu = jax.default_backend() == "cpu"
    return {"compiler_options": OPTIONS} if on_cpu else {}
