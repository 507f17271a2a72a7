"""Measures contestants in turn, A B C A B C …, each in its own process, and summarises the times.

A machine's speed drifts, so only ratios within one run mean anything. The ratio of two contestants
is the ratio of their medians. Its spread is that of the ratios of single rounds, in which the two
ran one after the other.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from jaxopt_notes.extras import installed

# Every process compiles its own programs, and leaves the other processes room in a GPU's memory.
ENVIRONMENT = {
    "JAX_ENABLE_COMPILATION_CACHE": "false",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@dataclass(frozen=True)
class Contestant:
    """A program that takes part in a benchmark.

    Attributes:
      factory: "module:function", which returns a `bench.Bench` in the contestant's process.
      settings: the function's arguments.
      environment: variables of that process, such as XLA_FLAGS.
      needs: the package that it needs besides ours, which is also the name of the extra.
      tunes: whether its compiler chooses programs by timing them on the device; then no other
        contestant may build at the same time.
    """

    factory: str
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    needs: str = ""
    tunes: bool = False


@dataclass
class Measured:
    """A contestant's measurements: lists with one number per round, and facts."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    absent: str = ""  # why it did not take part

    def add(self, values: dict[str, float]) -> None:
        """Adds the numbers of one more round."""
        for name, value in values.items():
            self.samples.setdefault(name, []).append(value)

    def spread(self, name: str = "seconds") -> "Spread | None":
        """Median and quartiles of a sample; None where there is no sample."""
        return spread(self.samples[name]) if self.samples.get(name) else None


class Spread(NamedTuple):
    """A median between its quartiles."""

    median: float
    low: float
    high: float

    def times(self, factor: float) -> "Spread":
        """The spread in another unit."""
        return Spread(*(factor * x for x in self))


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles.

    >>> spread([3.0, 1.0, 2.0, 4.0, 5.0])
    Spread(median=3.0, low=2.0, high=4.0)
    """
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(one: Measured, other: Measured | None, name: str = "seconds") -> Spread | None:
    """The ratio of the medians, and the quartiles of the ratios of single rounds.

    >>> a, b = Measured({"seconds": [1.0, 2.0, 3.0]}), Measured({"seconds": [2.0, 4.0, 6.0]})
    >>> ratio(a, b)
    Spread(median=0.5, low=0.5, high=0.5)
    """
    if other is None or not (one.samples.get(name) and other.samples.get(name)):
        return None
    a, b = one.samples[name], other.samples[name]
    rounds = spread([x / y for x, y in zip(a, b)])
    return Spread(statistics.median(a) / statistics.median(b), rounds.low, rounds.high)


def quickest(measured: dict[str, Measured], names: Iterable[str]) -> Measured | None:
    """The contestant with the smallest median."""
    there = [measured[name] for name in names if name in measured and not measured[name].absent]
    return min(there, key=lambda m: statistics.median(m.samples["seconds"]), default=None)


def missing(needs: str) -> str:
    """Why a contestant cannot take part, if its package is not installed; else empty."""
    if needs and not installed(needs):
        return f'{needs} is not installed; pip install "jaxopt-notes[{needs}]"'
    return ""


class Worker:
    """The parent's end of a contestant's process."""

    def __init__(self, contestant: Contestant, seconds: float, log: IO[str]) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.worker", contestant.factory),
                *(json.dumps(contestant.settings), str(seconds)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **ENVIRONMENT, **contestant.environment},
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def answer(self) -> dict[str, Any]:
        """The process's next answer; {"unavailable": …} if the process has died."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"unavailable": f"failed: {self._last_words()}"}

    def tell(self, turn: str) -> None:
        """Gives the process its turn."""
        assert self._process.stdin
        with suppress(BrokenPipeError):  # the process has died: `answer` says so
            print(turn, file=self._process.stdin, flush=True)

    def ask(self, turn: str) -> dict[str, Any]:
        """Gives the process its turn, and waits for the answer."""
        self.tell(turn)
        return self.answer()

    def _last_words(self) -> str:
        self._process.wait()
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return lines[-1][:200] if lines else f"exit code {self._process.returncode}"


def race(
    contestants: dict[str, Contestant],
    rounds: int,
    seconds: float,
    builds: int = 0,
    starts: int = 1,
    title: str = "",
    together: bool = False,
) -> dict[str, Measured]:
    """Measures the contestants in turn.

    Args:
      contestants: by name.
      rounds: the number of turns for each contestant.
      seconds: about how long a turn is.
      builds: the number of earlier turns, in which each contestant traces and compiles.
      starts: the number of times to repeat all turns, each time in new processes.
      title: the title of the progress bar.
      together: start and build all processes at once, except those of contestants that tune. It
        saves minutes where starting and building do not use the measured device.
    """
    measured = {name: Measured(absent=missing(c.needs)) for name, c in contestants.items()}
    turns = ["count"] + ["build"] * builds + ["run"] * rounds
    total = starts * len(contestants) * (1 + len(turns))
    with tqdm(desc=title, total=total, leave=False, disable=None, unit="turn") as bar:
        for start in range(starts):
            # The process that starts first often gets slower memory, so another one starts first
            # each time.
            by = start * -(-len(contestants) // starts)
            order = [*list(contestants)[by:], *list(contestants)[:by]]
            racing = {name: contestants[name] for name in order if not measured[name].absent}
            with ExitStack() as stack:
                workers = _begin(racing, seconds, together, stack, measured, bar)
                _take_turns(workers, turns, measured, bar)
    return measured


def _begin(
    contestants: dict[str, Contestant],
    seconds: float,
    together: bool,
    stack: ExitStack,
    measured: dict[str, Measured],
    bar: Any,
) -> dict[str, Worker]:
    """Starts the contestants' processes and builds each; notes those that cannot take part."""
    workers = {}
    for name, contestant in contestants.items():
        log = stack.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115 - the stack closes it
        workers[name] = stack.enter_context(Worker(contestant, seconds, log))
        if together and not contestant.tunes:
            workers[name].tell("begin")
        elif not together:
            _take_turns({name: workers[name]}, ["begin"], measured, bar)
    if together:
        alone = {name: worker for name, worker in workers.items() if contestants[name].tunes}
        _take_turns(alone, ["begin"], measured, bar)
        for name in workers.keys() - alone.keys():
            _take(measured[name], workers[name].answer())
            bar.update()
    return workers


def _take_turns(
    workers: dict[str, Worker], turns: Sequence[str], measured: dict[str, Measured], bar: Any
) -> None:
    for turn in turns:
        for name, worker in workers.items():
            bar.set_postfix_str(name)
            if not measured[name].absent:
                _take(measured[name], worker.ask(turn))
            bar.update()


def _take(measured: Measured, answer: dict[str, Any]) -> None:
    if "unavailable" in answer:
        measured.absent = answer["unavailable"]
    elif "facts" in answer:
        measured.facts = answer["facts"]
    elif "steps" in answer:
        measured.facts["steps_a_round"] = answer["steps"]
    else:
        measured.add(answer)
