"""How soon a program is there: kept from one process to the next, and compiled with less effort."""

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
    """Turns the persistent cache on, for all that this process compiles from now on.

    A command puts JAX's settings back at its end.

    Args:
      folder: where to keep programs; None for nowhere. Where it cannot be written, a line on
        stderr says so and nothing is kept.
    """
    if folder is not None and (reason := _refused(folder)):
        print(f"note: no compiled programs are kept: {reason}", file=sys.stderr)
        folder = None
    at_end(compilation_cache.reset_cache)
    if folder is None:
        set_jax("jax_enable_compilation_cache", False)
    else:
        set_jax("jax_enable_compilation_cache", True)
        set_jax("jax_compilation_cache_dir", folder)
        # The start of a run is many small programs; together they cost more than the large one.
        set_jax("jax_persistent_cache_min_compile_time_secs", 0.0)
        _replace_damaged(folder)
    compilation_cache.reset_cache()  # else JAX stays with the folder that it used first


def _refused(folder: str) -> str:
    """Why programs cannot be kept there; empty where they can."""
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
    except UnicodeEncodeError:  # it holds bytes that Python could not decode
        return False
    return True


def _replace_damaged(folder: str) -> None:
    """Has programs that are damaged on disk removed as JAX meets them; it then writes them anew.

    JAX itself only warns, compiles, and leaves the damaged file for the next process to meet.
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
    """Has a thread compile what is traced already: XLA compiles without Python's lock.

    Compiling depends on no setting that JAX keeps for a thread; tracing does.
    """
    pool = ThreadPoolExecutor(1, "compile")
    compiled = pool.submit(compile_program)
    pool.shutdown(wait=False)
    return compiled


# XLA's options on a CPU: LLVM's level of optimisation.
OPTIONS: dict[str, Any] = {"xla_backend_optimization_level": 1}


def sooner() -> dict[str, Any]:
    """Arguments of `jax.jit` that compile sooner, for code about as fast.

    On a CPU, LLVM's first level of optimisation; its others find nothing more to do in a training
    step (figures in benchmarks/README.md). JAX takes them of an outermost jit only.
    """
    on_cpu = jax.default_backend() == "cpu"
    return {"compiler_options": OPTIONS} if on_cpu else {}
