"""Flipped bits in the embedded digits or in a cache: the right data or a refusal, no other data."""

import io
import zipfile

import numpy as np
import pytest

from jaxopt_notes.data import arrays, bundled, load
from jaxopt_notes.data.dataset import Dataset
from jaxopt_notes.data.tfds import cache
from jaxopt_notes.errors import InputError


@pytest.fixture(scope="module")
def contents():
    """A small compressed `.npz` with the array names of the package's own."""
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        train_images=rng.integers(0, 9, (10, 4, 4, 1), np.uint8),
        train_labels=np.arange(10, dtype=np.uint8),
        test_images=rng.integers(0, 9, (2, 4, 4, 1), np.uint8),
        test_labels=np.arange(2, dtype=np.uint8),
    )
    return file.getvalue()


def flipped(content):
    """Copies of the content, each with one bit flipped: bits 0, 7, 14 and so on."""
    for bit in range(0, 8 * len(content), 7):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def equal(one, other):
    return all(
        a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)
        for a, b in zip(one[1:5], other[1:5], strict=True)
    )


def test_flipped_bits_of_the_embedded_file(contents, monkeypatch, tmp_path):
    file = tmp_path / "mnist_12k.npz"
    monkeypatch.setattr(bundled.resources, "files", lambda package: tmp_path)
    file.write_bytes(contents)
    whole = load("mnist-12k")
    errors = []
    for content in flipped(contents):
        file.write_bytes(content)
        try:
            assert equal(load("mnist-12k"), whole)
        except InputError as error:
            errors.append(str(error))
    assert len(errors) > len(contents) / 2  # what is left are dates and the like
    (line,) = set(errors)
    assert line.endswith("is missing or damaged; install jaxopt-notes again")


def test_changed_bytes_of_a_cache(tmp_path):
    (tmp_path / "dataset_info.json").write_text("{}")
    images, labels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4, 1), np.arange(4, dtype=np.int32)
    stored = Dataset("tiny", images, labels, images, labels, ("a", "b", "c", "d"), "a note")
    assert cache.save(tmp_path, stored)
    content = (tmp_path / cache.FILE).read_bytes()
    missed = 0
    tries = list(flipped(content))[::3]
    for changed in tries:
        (tmp_path / cache.FILE).write_bytes(changed)
        dataset = cache.load(tmp_path, "tiny")
        missed += dataset is None
        assert dataset is None or (equal(dataset, stored) and dataset[5:] == stored[5:])
    assert missed > len(tries) / 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        # A shape of fewer bytes than there are. The checksum is right, so np.load accepted it.
        (
            "fewer",
            b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }",
        ),
        (
            "absurd",
            b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, "
            b"'shape': (9999999999999999,), }",
        ),
        (
            "pickle",
            b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        ),
        ("empty", b""),
    ],
)
def test_headers_that_lie_are_refused(name, content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", content.ljust(10 + ord("v")) + b"ab")
    with pytest.raises(arrays.DamagedError):
        arrays.read_npz(file)
