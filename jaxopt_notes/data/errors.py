"""Turns the errors of the operating system and of TFDS into one line for the user."""

import errno
import os
from pathlib import Path

from jaxopt_notes.errors import InputError, first_line

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DISK = (*_FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EIO)


class DataDirError(InputError):
    """The data directory cannot be used: no room, not writable, not a folder."""


def data_dir_error(folder: Path, error: OSError) -> DataDirError:
    """Returns the error to raise when the operating system refuses to use the data directory."""
    if error.errno in _FULL:
        return DataDirError(
            f"data_dir='{folder}': its disk is full; free some space or choose another folder"
        )
    reason = first_line(error)
    return DataDirError(
        f"data_dir='{folder}': cannot be used ({reason}); choose a folder that can be written"
    )


def disk_error(error: BaseException | None) -> OSError | None:
    """Returns the disk error that caused an error, unwrapped from TFDS's errors; else None."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK:
            return error
        # The C++ writer of array_record passes on no errno, only its text.
        for code in _FULL:
            if os.strerror(code) in str(error):
                return OSError(code, os.strerror(code))
        error = error.__cause__ or error.__context__
    return None
