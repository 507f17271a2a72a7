"""Kinds of settings: how to write a value, which values are allowed, and what to pass instead."""

import math
import re
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from jaxopt_notes import places
from jaxopt_notes.config import schedulers

AUTO = "auto"
OFF = "off"
PLACE = "a folder"  # on this machine: processes that train together may use different folders


class Kind(NamedTuple):
    """The values that a setting may have, and how they are written.

    Attributes:
      noun: what an option's text must be, such as "a whole number".
      parse: turns the text into the value; raises ValueError for any other text, and InputError
        where the error needs more explanation.
      check: whether a value is allowed.
      remedy: what to pass instead, such as "pass a whole number from 1".
      metavar: stands for the value in the help.
      show: turns a value into its text.
      as_text: whether `config.json` keeps the text instead of the value.
      names: all values, where the values are a few names.
    """

    noun: str
    parse: Callable[[str], Any]
    check: Callable[[Any], bool]
    remedy: str
    metavar: str
    show: Callable[[Any], str] = str
    as_text: bool = False
    names: Collection[str] = ()


def number(check: Callable[[float], bool], remedy: str, metavar: str = "X") -> Kind:
    """A float that passes a check; `remedy` says which floats pass."""

    def allowed(x: Any) -> bool:
        return isinstance(x, int | float) and not isinstance(x, bool) and check(x)

    return Kind("a number", float, allowed, remedy, metavar, "{:.12g}".format)


def share(metavar: str = "SHARE") -> Kind:
    """A float from 0 up to, but not including, 1."""
    return number(lambda x: 0 <= x < 1, "pass a number of at least 0 and below 1", metavar)


def positive(example: str, metavar: str = "X") -> Kind:
    """A finite float above 0."""
    return number(lambda x: 0 < x < math.inf, f"pass a positive number, such as {example}", metavar)


def not_negative(metavar: str = "X") -> Kind:
    """A finite float, 0 or more."""
    return number(lambda x: 0 <= x < math.inf, "pass a number of at least 0", metavar)


def whole(least: int, what: str = "", below: float = math.inf) -> Kind:
    """A whole number from `least` up to, but not including, `below`."""
    top = "" if below == math.inf else f" to {below - 1:.0f}"
    remedy = f"pass a whole number{what} from {least}{top}"

    def allowed(n: Any) -> bool:
        return isinstance(n, int) and not isinstance(n, bool) and least <= n < below

    return Kind("a whole number", int, allowed, remedy, "N")


def one_of(names: Collection[str], metavar: str = "NAME") -> Kind:
    """One of some names, in any case."""

    def parse(text: str) -> str:
        return next((name for name in names if name.lower() == text.lower()), text)

    remedy = f"pass one of {', '.join(names)}"
    return Kind("a name", parse, lambda x: x in names, remedy, metavar, names=names)


def schedule(names: Collection[str]) -> Kind:
    """One of some names, or the call of a torch scheduler.

    >>> schedule(["cosine"]).parse("StepLR(500, 0.5)")
    'StepLR(step_size=500, gamma=0.5)'
    """
    named = one_of(names)

    def parse(text: str) -> str:
        if schedulers.is_call(text):
            return schedulers.shown(schedulers.read(text))
        return str(named.parse(text))

    def allowed(x: Any) -> bool:
        return named.check(x) or (isinstance(x, str) and schedulers.is_call(x) and bool(parse(x)))

    remedy = f"{named.remedy}, or a torch scheduler such as 'StepLR(step_size=500)'"
    return named._replace(parse=parse, check=allowed, remedy=remedy, metavar="NAME|CALL")


def flag() -> Kind:
    """True or False; written as an option `--name` or `--no-name`."""
    return Kind("", lambda text: text, lambda x: isinstance(x, bool), "pass true or false", "")


def _is_text(x: Any) -> bool:
    return isinstance(x, str) and x != ""


def place(remedy: str = "pass a folder") -> Kind:
    """A path on this machine."""
    return Kind(PLACE, places.expanded, _is_text, remedy, "DIR")


def dataset(remedy: str) -> Kind:
    """The name of a data set, or a folder's path."""
    return Kind("a name", places.expanded, _is_text, remedy, "NAME")


def whole_numbers() -> Kind:
    """Whole numbers from 1, such as "128,64"."""

    def parse(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in text.split(","))

    def allowed(each: Any) -> bool:
        return isinstance(each, tuple) and bool(each) and min(each) >= 1

    remedy = "pass whole numbers from 1, such as 128,64"
    return Kind("a list of them", parse, allowed, remedy, "N,N", lambda x: ",".join(map(str, x)))


def image_size() -> Kind:
    """Height and width, such as "28" or "28x32".

    >>> image_size().parse("28"), image_size().parse("28x32")
    ((28, 28), (28, 32))
    >>> image_size().show((28, 28)), image_size().show((28, 32))
    ('28', '28x32')
    """

    def parse(text: str) -> tuple[int, int]:
        match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text, re.ASCII)
        if not match:
            raise ValueError
        height, width = map(int, match.groups(match[1]))
        return height, width

    def show(size: tuple[int, int]) -> str:
        return "x".join(map(str, dict.fromkeys(size)))

    remedy = "pass N or HEIGHTxWIDTH, each at least 4, such as 28 or 28x32"
    return Kind("a size", parse, lambda size: min(size) >= 4, remedy, "N|HxW", show, as_text=True)


def mesh() -> Kind:
    """The number of devices along the only axis, such as "data=8".

    >>> mesh().parse("data=8")
    8
    """

    def parse(text: str) -> int:
        match = re.fullmatch(r"data=(\d{1,9})", text, re.ASCII)
        if not match:
            raise ValueError
        return int(match[1])

    def allowed(n: Any) -> bool:
        return isinstance(n, int) and n >= 1

    remedy = "pass data=N with a whole number from 1"
    return Kind("a number of devices", parse, allowed, remedy, "data=N", "data={}".format, True)


class Interval(NamedTuple):
    """How often to write checkpoints within an epoch, in addition to those at its end.

    Attributes:
      steps: the number of steps between two checkpoints, or None.
      seconds: the number of seconds between two checkpoints, or None.
      never: write no checkpoints at all.
    """

    steps: int | None = None
    seconds: int | None = None
    never: bool = False


_SECONDS = {"h": 3600, "m": 60, "s": 1}


def interval() -> Kind:
    """An `Interval`: "500" for steps; "30s", "5m" or "1h" for a time; or "off".

    >>> interval().parse("500"), interval().parse("5m")
    (Interval(steps=500, seconds=None, never=False), Interval(steps=None, seconds=300, never=False))
    >>> [interval().show(interval().parse(text)) for text in ("500", "90s", "60m", "off")]
    ['500', '90s', '1h', 'off']
    """

    def parse(text: str) -> Interval:
        if text == OFF:
            return Interval(never=True)
        match = re.fullmatch(r"([1-9]\d{0,8})([smh]?)", text, re.ASCII)
        if not match:
            raise ValueError
        amount, unit = int(match[1]), match[2]
        return Interval(seconds=amount * _SECONDS[unit]) if unit else Interval(steps=amount)

    def show(each: Interval) -> str:
        if each.seconds is None:
            return OFF if each.never else str(each.steps)
        unit = next(u for u, length in _SECONDS.items() if each.seconds % length == 0)
        return f"{each.seconds // _SECONDS[unit]}{unit}"

    remedy = f"pass a number of steps, a time such as 30s, 5m or 1h, or {OFF}"
    return Kind(
        "an interval", parse, lambda x: isinstance(x, Interval), remedy, "N|TIME", show, True
    )


def share_or_auto() -> Kind:
    """A float above 0 and below 1, or "auto"."""

    def parse(text: str) -> float | str:
        return AUTO if text == AUTO else float(text)

    remedy = f"pass {AUTO}, or a share of the run above 0 and below 1"
    return Kind("a share", parse, lambda x: x == AUTO or 0 < x < 1, remedy, "SHARE", str, True)
