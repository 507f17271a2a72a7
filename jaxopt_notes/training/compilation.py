"""Keeps compiled programs from one process to the next, by JAX's persistent compilation cache."""

import os
from pathlib import Path

import jax

from jaxopt_notes.training.config import OFF


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


def _default() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "jaxopt_notes"
