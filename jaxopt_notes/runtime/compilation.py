"""How soon a program is there: kept from one process to the next, and compiled with less effort."""

from typing import Any

import jax

from jaxopt_notes.config.kinds import OFF


def keep_compiled(folder: str) -> None:
    """Turns the persistent cache on, for all that this process compiles from now on.

    Args:
      folder: where to keep programs; "off" for nowhere.
    """
    if folder == OFF:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", folder)
    # The start of a run is many small programs; together they cost more than the large one.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def sooner() -> dict[str, Any]:
    """Arguments of `jax.jit` that compile sooner, for code about as fast.

    On a CPU, LLVM's first level of optimisation; its others find nothing more to do in a training
    step (figures in benchmarks/README.md). JAX takes them of an outermost jit only.
    """
    on_cpu = jax.default_backend() == "cpu"
    return {"compiler_options": {"xla_backend_optimization_level": 1}} if on_cpu else {}
