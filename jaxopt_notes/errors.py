"""The errors that one line can explain."""


class InputError(ValueError):
    """Bad input that one line can explain.

    The message names the argument, its value and the remedy. The commands print it as it is and
    exit with code 2; in the library it is an ordinary `ValueError`.
    """


class MissingExtraError(InputError, ImportError):
    """A package of an extra is not installed. In the library it is an ordinary `ImportError`."""
