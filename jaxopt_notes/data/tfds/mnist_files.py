"""MNIST's four official files: where they come from, and where a user may lay them."""

import gzip
import math
from pathlib import Path

import numpy as np

from jaxopt_notes.errors import InputError

NAME = "mnist"
URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"  # the address TFDS has checksums for
SPLITS = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
FILES = SPLITS["train"] + SPLITS["test"]


class UnobtainableError(InputError):
    """MNIST is not here and cannot be fetched. `reason` says why, without the remedy."""

    def __init__(self, reason: str, remedy: str):
        super().__init__(f"dataset='{NAME}': {reason}; {remedy}")
        self.reason = reason


def lay_files(data_dir: Path) -> str:
    """Returns what a user without a network can do."""
    return f"put the official files {', '.join(FILES)} into {manual(data_dir)}"


def manual(data_dir: Path) -> Path:
    return data_dir / "downloads" / "manual"


def read_idx(path: Path) -> np.ndarray:
    """Reads a gzipped IDX file of bytes: two zeros, the type, the rank, the shape, the data."""
    content = gzip.decompress(Path(path).read_bytes())
    rank = content[3]
    shape = np.frombuffer(content, ">u4", count=rank, offset=4)
    data = np.frombuffer(content, np.uint8, count=math.prod(shape.tolist()), offset=4 + 4 * rank)
    return data.reshape(shape)
