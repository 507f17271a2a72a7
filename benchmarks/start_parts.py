"""`python -m benchmarks.start_parts MODULE OPTIONS`: runs a module and prints how long parts took.

JAX itself reports how long it traces, lowers and compiles each program.
"""

import contextlib
import importlib
import io
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator

STAGES = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile or load",
}
LEAST = 0.005  # seconds: shorter parts are not listed


def main(module: str, options: list[str]) -> dict[str, float]:
    """Runs a module's `main` with these options; returns the seconds of each part.

    Threads compile programs while other parts run, so the seconds do not add up to the whole time.
    """
    from jaxopt_notes.command import collect_seldom

    collect_seldom()
    parts: dict[str, float] = defaultdict(float)
    start = time.perf_counter()
    for name in ("jax", "optax", "flax.nnx", module):
        with _timed(parts, f"import {name}"):
            importlib.import_module(name)
    from jax import monitoring

    def add(event: str, duration_secs: float, **about: str | int) -> None:
        if stage := STAGES.get(event):
            program = str(about.get("fun_name", "")).removeprefix("jit(").removesuffix(")")
            parts[f"{program}: {stage}"] += duration_secs

    monitoring.register_event_duration_secs_listener(add)
    sys.argv = [module, *options]
    with contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module(module).main()
    parts["in all, with imports and everything else"] = time.perf_counter() - start
    return {part: seconds for part, seconds in parts.items() if seconds >= LEAST}


@contextlib.contextmanager
def _timed(parts: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    parts[part] += time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2:])))
