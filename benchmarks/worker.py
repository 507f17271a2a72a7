"""A contestant's process: builds the program to measure, then waits for its turns.

The process imports its module, and begins at the first line on stdin. Further lines are "count"
(the number of steps that fill a turn), "build" or "run"; the process answers each with a JSON line
on stdout. Between its turns it sleeps in a read, so that it disturbs no other process.
"""

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.bench import Bench, Unavailable

SETTLE = 0.05  # seconds; a thread pool's idle threads spin for some milliseconds before they sleep


def steps_for(run: Callable[[int], None], seconds: float) -> int:
    """The number of steps that take about `seconds`, measured after a warm-up."""
    run(2)
    steps = 1
    while True:
        start = time.perf_counter()
        run(steps)
        took = time.perf_counter() - start
        if took > seconds / 4:
            return max(1, round(steps * seconds / took))
        steps *= 2


def timed(run: Callable[[int], None], steps: int) -> dict[str, float]:
    """Runs one round; returns seconds and page faults per step."""
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    start = time.perf_counter()
    run(steps)
    took = time.perf_counter() - start
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    return {"seconds": took / steps, "faults": faults / steps}


def serve(factory: Callable[..., Bench], settings: dict[str, Any], seconds: float) -> None:
    """Answers turns until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # other output must not look like an answer

    def answer(value: dict[str, Any]) -> None:
        time.sleep(SETTLE)
        print(json.dumps(value), file=answers)

    try:
        bench = factory(**settings)
    except Unavailable as reason:
        return answer({"unavailable": str(reason)})
    answer({"facts": bench.facts})
    steps = 1
    for line in sys.stdin:
        turn = line.strip()
        if turn == "count":
            steps = steps_for(bench.run, seconds)
            answer({"steps": steps})
        elif turn == "build":
            answer(bench.build() if bench.build else {})
        else:
            answer(timed(bench.run, steps))


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    made_by = getattr(importlib.import_module(module), name)
    sys.stdin.readline()  # "begin"
    serve(made_by, json.loads(sys.argv[2]), float(sys.argv[3]))
