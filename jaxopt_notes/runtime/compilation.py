"""How soon a program is there: kept from one process to the next, and compiled with less effort."""

import os
from pathlib import Path
from typing import Any

import jax

from jaxopt_notes.config.settings import OFF


def keep_compiled(folder: str | None) -> str:
    """Turns the persistent cache on, for all that this process compiles from now on.

    Args:
      folder: where to keep programs; "off" for nowhere; None for `$JAX_COMPILATION_CACHE_DIR`, or
        `jaxopt_notes` in the user's cache folder.

    Returns:
      The folder in use, or "off".
    """
    if folder == OFF:
        jax.config.update("jax_enable_compilation_cache", False)
        return OFF
    folder = folder or os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(_default())
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", folder)
    # The start of a run is many small programs; together they cost more than the large one.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def sooner() -> dict[str, Any]:
    """Arguments of `jax.jit` that compile sooner, for code about as fast.

    On a CPU, LLVM's first level of optimisation; its others find nothing more to do in a training
    step (figures in benchmarks/README.md). JAX takes them of an outermost jit only.
    """
    on_cpu = jax.default_backend() == "cpu"
    return {"compiler_options": {"xla_backend_optimization_level": 1}} if on_cpu else {}


def _default() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "jaxopt_notes"
