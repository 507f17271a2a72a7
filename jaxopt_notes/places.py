"""Reads paths as people type them: expands `~`, and refuses paths that are not on this machine.

Options use `Place` as their argparse action; environment variables go through `from_environment`.
Needs only the standard library.
"""

import argparse
import os
import re
from typing import Any

from jaxopt_notes.errors import InputError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def expanded(text: str) -> str:
    """A path with `~` or `~user` expanded.

    Raises:
      InputError: the text is a URL, or that user has no home folder. The message says what is wrong
        and what to do; the caller puts the option before it, as `local` does.

    >>> expanded("runs/one")
    'runs/one'
    >>> expanded("gs://bucket/one")
    Traceback (most recent call last):
        ...
    jaxopt_notes.errors.InputError: is not on this machine; mount it and pass the mounted folder, or
    use a local path and copy the files
    """
    if "\0" in text:
        raise InputError("holds a NUL character; pass a path")
    if match := _URL.match(text):
        if match[1].lower() == "file":
            raise InputError("is a URL; pass the path alone")
        raise InputError(
            "is not on this machine; mount it and pass the mounted folder, or use a local path and "
            "copy the files"
        )
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise InputError(f"has no home folder here; pass the full path, or ./{text}")
    return path


def local(option: str, text: str) -> str:
    """Expands the value of an option; errors name the option. The value must not be empty.

    >>> local("--out", "")
    Traceback (most recent call last):
        ...
    jaxopt_notes.errors.InputError: --out '': is empty; pass a path
    """
    try:
        if not text:
            raise InputError("is empty; pass a path")
        return expanded(text)
    except InputError as error:
        raise named(option, text, error) from None


def named(option: str, text: str, error: InputError) -> InputError:
    """The error of `expanded`, preceded by the option and the text."""
    return InputError(f"{option} {text or repr(text)}: {error}")


def from_environment(variable: str) -> str | None:
    """The path in an environment variable; None where the variable is not set, or empty.

    Raises:
      InputError: as for `expanded`.
    """
    text = os.environ.get(variable)
    return local(f"${variable}", text) if text else None


def is_within(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it. Follows links; the path need not exist.

    >>> is_within("/a/b", "/a"), is_within("/a", "/a"), is_within("/ab", "/a")
    (True, True, False)
    """
    inner, outer = os.path.realpath(path), os.path.realpath(folder)
    try:
        return os.path.commonpath([inner, outer]) == outer
    except ValueError:  # on two drives of Windows
        return False


class Place(argparse.Action):
    """The argparse action of an option or argument that takes one path or several.

    >>> parser = argparse.ArgumentParser()
    >>> _ = parser.add_argument("--out", action=Place)
    >>> parser.parse_args(["--out", "runs/one"]).out
    'runs/one'
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name = option_string or str(self.metavar or self.dest)
        paths = [local(name, each) for each in ([values] if isinstance(values, str) else values)]
        setattr(namespace, self.dest, paths[0] if isinstance(values, str) else paths)
