"""What the commands share. Needs nothing but the standard library: `--help` must be quick."""

import argparse
from typing import NoReturn

from jaxopt_notes.errors import InputError


class OneLineParser(argparse.ArgumentParser):
    """argparse, whose errors are one line as all of ours are: it raises `InputError`.

    >>> OneLineParser("go", "Goes.").parse_args(["--fast"])
    Traceback (most recent call last):
        ...
    jaxopt_notes.errors.InputError: unrecognized arguments: --fast
    """

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        usage = "%(prog)s [options]"
        super().__init__(prog, usage, description, epilog, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise InputError(message)
