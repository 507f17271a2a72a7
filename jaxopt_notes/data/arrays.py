"""Arrays in an `.npz` file, read so that no damage passes: each byte is checked before it is used.

`np.load` believes an array's header before the zip's checksum has been compared, and compares none
where a damaged header asks for fewer bytes than there are.
"""

import io
import zipfile
from typing import IO

import numpy as np

from jaxopt_notes.errors import first_line


class DamagedError(Exception):
    """The file is no `.npz`, or not the one that was written."""


def read_npz(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Returns the arrays of an open `.npz` file by their names. No pickle is read.

    Raises:
      DamagedError: something in it is damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            # `read` compares the checksum.
            contents = {name: archive.read(name) for name in archive.namelist()}
        return {name.removesuffix(".npy"): _array(content) for name, content in contents.items()}
    # By where the damage is: BadZipFile, zlib.error, struct.error, EOFError, OSError, KeyError,
    # ValueError, RuntimeError ("encrypted"), NotImplementedError (compression), MemoryError.
    except Exception as error:
        raise DamagedError(first_line(error)) from error


def _array(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    array = np.lib.format.read_array(file, allow_pickle=False)
    if file.read(1):
        raise ValueError("an array has fewer bytes than were written")
    return array
