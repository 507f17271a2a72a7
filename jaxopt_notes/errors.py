"""The one error that stands for a mistake of the caller's."""


class InputError(ValueError):
    """Bad input that one line can explain.

    The message names the argument, its value and the remedy. The commands print it as it is and
    exit with code 2; in the library it is an ordinary `ValueError`.
    """
