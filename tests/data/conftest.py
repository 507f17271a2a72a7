"""Fixtures of the data tests."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import tiny_sets
from tensorflow_datasets.core.download import checksums

from jaxopt_notes.data.tfds import mnist_files


@pytest.fixture
def official_mnist() -> Path:
    """The folder of MNIST's four official files, where this machine has them."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "mnist"
    folder = Path(os.environ.get("JAXOPT_NOTES_MNIST") or beside)
    if not all((folder / file).is_file() for file in mnist_files.FILES):
        pytest.skip(
            "the official MNIST files are not here; set JAXOPT_NOTES_MNIST to the folder of the "
            "four .gz files"
        )
    return folder


@pytest.fixture
def few_digits(tmp_path, monkeypatch) -> dict[str, np.ndarray]:
    """Makes four files of few digits pass for the official ones; returns their arrays.

    They lie in tmp_path / "official", and TFDS's registered checksums are theirs.
    """
    folder = tmp_path / "official"
    arrays = tiny_sets.write_official(folder)
    known = dict(checksums.get_all_url_infos())
    for file in mnist_files.FILES:
        content = (folder / file).read_bytes()
        known[mnist_files.URL + file] = checksums.UrlInfo(
            size=len(content), checksum=hashlib.sha256(content).hexdigest(), filename=file
        )
    monkeypatch.setattr(checksums, "get_all_url_infos", lambda: known)
    return arrays


@pytest.fixture
def laid(tmp_path, few_digits) -> Path:
    """A data directory in which the four files of few digits were laid by hand."""
    data_dir = tmp_path / "data"
    (data_dir / "downloads").mkdir(parents=True)
    (tmp_path / "official").rename(data_dir / "downloads" / "manual")
    return data_dir


@pytest.fixture
def no_network(monkeypatch):
    """MNIST's server is a name that does not exist."""
    monkeypatch.setattr(mnist_files, "URL", "http://mnist.invalid/")
