"""The record that a contestant's factory returns to the process that measures it."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Bench(NamedTuple):
    """A program to measure.

    Attributes:
      run: takes n steps and waits for the last one.
      facts: values that are measured or counted only once, such as bytes of temporary memory.
      build: traces and compiles again; returns the seconds of each.
    """

    run: Callable[[int], None]
    facts: dict[str, Any]
    build: Callable[[], dict[str, float]] | None = None


class Unavailable(Exception):  # noqa: N818 - not an error: the contestant does not take part
    """The contestant cannot take part here; the text says why."""
