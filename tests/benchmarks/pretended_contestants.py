"""Contestants that cost nothing, for processes that the tests start."""

from benchmarks.bench import Bench, Unavailable


def counting(label):
    """Takes part, and prints a line that is no answer."""

    def run(steps):
        print("stray output")
        sum(range(1000 * steps))

    return Bench(run, {"label": label}, lambda: {"trace_seconds": 0.5})


def missing_something():
    """Cannot take part, and says why."""
    raise Unavailable("no such thing here")


def failing():
    """Breaks."""
    raise RuntimeError("broken on purpose")
