"""Reads the records of a TFRecord file, for TFDS directories that TensorFlow wrote."""

import struct
from collections.abc import Iterator
from pathlib import Path

_LENGTH_AND_CRC = struct.Struct("<QI")
_CRC_BYTES = 4


def records(path: Path) -> Iterator[bytes]:
    """Yields each record's bytes.

    A record is its length (8 bytes), the length's CRC (4), the data, the data's CRC (4). The CRCs
    are not checked: the images inside have their own, and pure Python would take seconds.

    Raises:
      ValueError: the file ends within a record.
    """
    with path.open("rb") as file:
        while header := file.read(_LENGTH_AND_CRC.size):
            if len(header) < _LENGTH_AND_CRC.size:
                raise ValueError(f"{path.name} is truncated")
            length, _ = _LENGTH_AND_CRC.unpack(header)
            # A damaged length must not be asked of the memory.
            if length > path.stat().st_size:
                raise ValueError(f"{path.name} is corrupt")
            data = file.read(length)
            if len(data) < length or len(file.read(_CRC_BYTES)) < _CRC_BYTES:
                raise ValueError(f"{path.name} is truncated")
            yield data
