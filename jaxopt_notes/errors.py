"""The errors that one line can explain, and how that line is written."""

from collections.abc import Iterable


class InputError(ValueError):
    r"""Bad input that one line can explain.

    The message names the argument, its value and the remedy. The commands print it as it is and
    exit with code 2; in the library it is an ordinary `ValueError`. It is one line whatever a name
    in it holds: what cannot be shown is escaped.

    >>> str(InputError("--out a\nb: is empty"))
    '--out a\\nb: is empty'
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in message))


class MissingExtraError(InputError, ImportError):
    """A package of an extra is not installed. In the library it is an ordinary `ImportError`.

    >>> issubclass(MissingExtraError, ImportError), issubclass(MissingExtraError, InputError)
    (True, True)
    """


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


def first_line(error: BaseException) -> str:
    r"""Why something failed, in one line of at most 160 characters.

    This is the operating system's reason where there is one, else the first line of the text. The
    error's type stands in for an empty text, and before a KeyError's, which is only the key.

    >>> first_line(FileNotFoundError(2, "No such file or directory", "a.txt"))
    'No such file or directory'
    >>> first_line(ValueError("split train is empty\nand more"))
    'split train is empty'
    >>> first_line(KeyError("image")), first_line(MemoryError())
    ("KeyError: 'image'", 'MemoryError')
    """
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    name = type(error).__name__
    text = lines[0] if lines else name
    return (f"{name}: {text}" if lines and isinstance(error, KeyError) else text)[:160]
