"""What a contestant's factory gives to the process that measures it."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Bench(NamedTuple):
    """Something to be measured.

    Attributes:
      run: takes n steps and waits for the last one to be done.
      facts: what is measured or counted but once, such as bytes of temporary memory.
      build: traces and compiles once more; returns the seconds of each.
    """

    run: Callable[[int], None]
    facts: dict[str, Any]
    build: Callable[[], dict[str, float]] | None = None


class Unavailable(Exception):  # noqa: N818 - no error: the contestant does not take part
    """The contestant cannot take part here; says why."""
