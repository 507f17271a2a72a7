"""Fixtures of the data tests."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from tensorflow_datasets.core.download import checksums

from jaxopt_notes.data.tfds import mnist_files
from tests.data import tiny_sets


@pytest.fixture
def official_mnist() -> Path:
    """The folder of MNIST's four official files: where JAXOPT_NOTES_MNIST says they are."""
    folder = os.path.expanduser(os.environ.get("JAXOPT_NOTES_MNIST", ""))
    if not folder:
        pytest.skip("JAXOPT_NOTES_MNIST is not set to the folder of MNIST's four .gz files")
    missing = [file for file in mnist_files.FILES if not (Path(folder) / file).is_file()]
    if missing:
        pytest.skip(f"JAXOPT_NOTES_MNIST={folder}: has no {', '.join(missing)}")
    return Path(folder)


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
