"""The errors that one line can explain, and functions that write such lines."""

from collections.abc import Iterable


class InputError(ValueError):
    r"""Bad input that one line can explain.

    The message names the argument, its value and the remedy. The commands print it unchanged and
    exit with code 2; in the library it is an ordinary `ValueError`. The message is always one line:
    characters that cannot be shown are escaped.

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
    """The choice most similar to a mistyped word; empty where no choice is similar.

    Case does not matter, and `_` equals `-`.

    >>> nearest("Adma", ["sgd", "adam"]), nearest("zzz", ["sgd", "adam"])
    ('adam', '')
    >>> nearest("--batch_size", ["--batch-size", "--mesh"])
    '--batch-size'
    """
    import difflib  # here, because it is rarely needed

    def plain(text: str) -> str:
        return text.lower().replace("_", "-")

    by_plain = {plain(choice): choice for choice in choices}
    near = difflib.get_close_matches(plain(word), by_plain, n=1)
    return by_plain[near[0]] if near else ""


def first_line(error: BaseException) -> str:
    r"""Why something failed, in one line of at most 160 characters.

    Returns the operating system's reason if there is one, else the first line of the error's text.
    The error's type replaces an empty text, and precedes a KeyError's text, which is only the key.

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
