"""The errors that one line can explain, and what to suggest in it."""

from collections.abc import Iterable


class InputError(ValueError):
    """Bad input that one line can explain.

    The message names the argument, its value and the remedy. The commands print it as it is and
    exit with code 2; in the library it is an ordinary `ValueError`.
    """


class MissingExtraError(InputError, ImportError):
    """A package of an extra is not installed. In the library it is an ordinary `ImportError`."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """The choice that a mistyped word is most like; empty where it is like none.

    Capitals do not count, and `_` is the same as `-`.

    >>> nearest("Adma", ["sgd", "adam"]), nearest("zzz", ["sgd", "adam"])
    ('adam', '')
    >>> nearest("--batch_size", ["--batch-size", "--mesh"])
    '--batch-size'
    """
    import difflib  # here: few need it

    def plain(text: str) -> str:
        return text.lower().replace("_", "-")

    by_plain = {plain(choice): choice for choice in choices}
    near = difflib.get_close_matches(plain(word), by_plain, n=1)
    return by_plain[near[0]] if near else ""
