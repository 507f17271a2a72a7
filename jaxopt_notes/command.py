"""Code that all commands share. Needs only the standard library: `--help` must be quick."""

import argparse
import gc
import sys
import textwrap
from collections.abc import Callable
from typing import Any, NoReturn

from jaxopt_notes.errors import InputError, nearest
from jaxopt_notes.places import Place
from jaxopt_notes.runtime import signals, streams
from jaxopt_notes.runtime.host import at_end, host_settings, own_process


class OneLineParser(argparse.ArgumentParser):
    """An argparse parser that raises its errors as `InputError`, in one line like all our errors.

    Attributes:
      aliases: other common names of options. The parser does not accept them; its error names the
        option instead.

    >>> OneLineParser("go", "Goes.").parse_args(["--hepl"])
    Traceback (most recent call last):
        ...
    jaxopt_notes.errors.InputError: --hepl: is not an option; did you mean --help?
    """

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        usage = "%(prog)s [options]"
        super().__init__(
            prog, usage, description, epilog, formatter_class=_Help, allow_abbrev=False
        )
        self.aliases: dict[str, str] = {}

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses as argparse does; the error for an unknown option suggests a similar option."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            word = next((word for word in unknown if word.startswith("-")), unknown[0])
            raise InputError(self._unknown(word.partition("=")[0]))
        return parsed

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"{word}: is unexpected; leave it out"
        options = {option: option for option in self._option_string_actions} | self.aliases
        near = nearest(word, options)
        remedy = f"did you mean {options[near]}?" if near else "--help lists all options"
        return f"{word}: is not an option; {remedy}"

    def error(self, message: str) -> NoReturn:
        """Raises InputError: argparse's message, which names the option first."""
        raise InputError(message.removeprefix("argument "))


class _Help(argparse.HelpFormatter):
    """argparse's formatter, but never breaks a line within a name such as adam-to-sgd."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose a run and its weights."""
    parser.add_argument(
        "--run", required=True, action=Place, metavar="DIR", help="folder of a training run"
    )
    parser.add_argument(
        "--which",
        default="best",
        choices=("best", "last", "ema"),
        help="weights to use: those with the best test accuracy, the last, or the average "
        "(default: best)",
    )


def exit_code(command: Callable[[], int], stopped: str = "stopped") -> int:
    """Runs a command; returns its exit code, or the code below with one line on stderr:

        1      the output cannot be written
        2      invalid input
        128+n  signal n: 129 a hang-up, 130 Ctrl-C, 143 SIGTERM
        141    nobody reads the output any more (without a line)

    The command's changes to this process, such as a notebook, are undone at its end.

    Args:
      command: the function that does the command's work.
      stopped: the line for Ctrl-C; for another signal, another word replaces "stopped".
    """
    with host_settings():
        streams.guard()
        collect_seldom()
        with signals.received(stopped) as stop:
            try:
                try:
                    code = command()
                finally:
                    streams.wait(None if stop.signal is None else streams.PATIENCE)
                return stop.say() if stop.raised and code < 128 else code
            except BaseException as error:
                code = _code_of(error, stop)
                streams.wait(streams.PATIENCE)
                return code


def _code_of(error: BaseException, stop: signals.Received) -> int:
    """Prints a command's error in one line, returns its exit code; raises unexpected errors."""
    if isinstance(error, KeyboardInterrupt) or stop.raised:  # imports may replace it
        stop.ended = True
        return stop.say()
    if isinstance(error, streams.NobodyReadsError):
        return 141
    if isinstance(error, streams.UnwritableError):
        line, code = f"standard output: cannot be written ({error}); write to another place", 1
    elif isinstance(error, InputError):
        line, code = str(error), 2
    else:
        raise error
    print(f"error: {line}", file=sys.stderr)
    return code


def run_as_process(main: Callable[[], int]) -> NoReturn:
    """Runs a command's `main` and ends this process with its exit code."""
    own_process()
    streams.open_missing()
    sys.exit(main())


def collect_seldom() -> None:
    """Makes Python collect garbage after every 100,000 new objects instead of every 700.

    Importing JAX and flax and tracing a step create 200,000 objects that stay. By default Python
    searches for garbage 400 times meanwhile, a tenth of the time to the first step.

    >>> with host_settings():
    ...     collect_seldom()
    ...     gc.get_threshold()[0]
    100000
    """
    at_end(gc.set_threshold, *gc.get_threshold())
    gc.set_threshold(100_000)
