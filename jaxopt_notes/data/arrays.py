"""Reads the arrays of an `.npz` file and notices any damage: checks each byte before using it.

`np.load` trusts an array's header before it compares the zip's checksum. It never compares the
checksum where a damaged header asks for fewer bytes than there are.
"""

import io
import zipfile
from typing import IO

import numpy as np

from jaxopt_notes.errors import first_line


class DamagedError(Exception):
    """The file is not an `.npz`, or has changed since it was written."""


def read_npz(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Returns the arrays of an open `.npz` file by name. Never reads a pickle.

    Raises:
      DamagedError: the file is damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            # `read` compares the checksum, which `np.load` may not do.
            contents = {name: archive.read(name) for name in archive.namelist()}
        return {name.removesuffix(".npy"): _array(content) for name, content in contents.items()}
    # The error depends on where the damage is: BadZipFile, zlib.error, struct.error, EOFError,
    # OSError, KeyError, ValueError, RuntimeError ("encrypted"), NotImplementedError (compression),
    # MemoryError.
    except Exception as error:
        raise DamagedError(first_line(error)) from error


def _array(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    array = np.lib.format.read_array(file, allow_pickle=False)
    if file.read(1):
        raise ValueError("an array has fewer bytes than were written")
    return array
