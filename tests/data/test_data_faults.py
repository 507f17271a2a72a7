"""Damage, unknown names and unusable folders: each is refused in one line or does no harm."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxopt_notes.data import load, names
from jaxopt_notes.data.tfds import cache, decoding, tfrecord
from jaxopt_notes.errors import InputError
from tests.data import tiny_sets


@pytest.fixture
def tiny(tmp_path):
    """A prepared directory, not yet cached."""
    return tiny_sets.write_images(tmp_path, "tiny")


@pytest.fixture
def decodings(monkeypatch):
    """The calls that decoded a set so far; a set from a cache is not decoded."""
    seen = []
    decode = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *a: seen.append(a) or decode(*a))
    return seen


def test_the_second_load_comes_from_the_cache(tiny, tmp_path, decodings):
    first, second = load("tiny", tmp_path), load("tiny", tmp_path)
    assert len(decodings) == 1
    assert first.class_names == second.class_names
    for one, other in zip(first[1:5], second[1:5], strict=True):
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype


@pytest.mark.parametrize("damage", ["truncated", "a byte changed", "empty", "another set's"])
def test_a_damaged_cache_is_replaced(tiny, tmp_path, decodings, damage):
    expected = load("tiny", tmp_path)
    file = tiny / cache.FILE
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "a byte changed":
        content[2_000] ^= 1
        file.write_bytes(content)
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        other = tiny_sets.write_images(tmp_path, "other", classes=3)
        load("other", tmp_path)
        file.write_bytes((other / cache.FILE).read_bytes())
    decodings.clear()
    again = load("tiny", tmp_path)
    assert len(decodings) == 1
    assert np.array_equal(again.train_images, expected.train_images)
    load("tiny", tmp_path)
    assert len(decodings) == 1


def test_a_directory_that_changed_is_decoded_again(tiny, tmp_path, decodings):
    load("tiny", tmp_path)
    tiny_sets.to_tfrecord(tiny)
    load("tiny", tmp_path)
    load("tiny", tmp_path)
    assert len(decodings) == 2


def another_description(tiny):
    file = tiny / "dataset_info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"description": "another"}))


def other_class_names(tiny):
    file = tiny / "label.labels.txt"
    file.write_text(file.read_text()[::-1])


def another_shard_of_its_name(tiny):
    """As many other images, as if the set had been prepared again from another source."""
    black = [{"image": Image.new("L", (28, 28)), "label": i % 10} for i in range(40)]
    features = tfds.builder_from_directory(tiny).info.features
    other = tiny_sets.write_set(tiny.parents[1] / "other", "tiny", {"train": black}, features)
    (shard,) = other.glob("*-of-*")
    (ours,) = tiny.glob("*train*-of-*")
    ours.write_bytes(shard.read_bytes())


@pytest.mark.parametrize(
    "change", [another_description, other_class_names, another_shard_of_its_name]
)
def test_the_cache_is_renewed_when_any_part_of_its_source_changes(tmp_path, decodings, change):
    features = {
        "image": tfds.features.Image(shape=(28, 28, 1)),
        "label": tfds.features.ClassLabel(names=list("abcdefghij")),
    }
    rows = {s: tiny_sets.examples(n, (28, 28), 10) for s, n in (("train", 40), ("test", 20))}
    tiny = tiny_sets.write_set(tmp_path, "tiny", rows, features)
    before = load("tiny", tmp_path)
    change(tiny)
    after = load("tiny", tmp_path)
    assert len(decodings) == 2
    assert (after.class_names == before.class_names) == (change != other_class_names)
    assert (after.train_images.max() == 0) == (change == another_shard_of_its_name)
    load("tiny", tmp_path)
    assert len(decodings) == 2


def test_a_cache_that_cannot_be_written_leaves_nothing_and_stops_nobody(
    tiny, tmp_path, monkeypatch
):
    def full(file, **arrays):
        file.write(b"the first bytes fit")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(tiny.iterdir())
    monkeypatch.setattr(np, "savez", full)
    assert load("tiny", tmp_path).train_images.shape == (40, 28, 28, 1)
    assert sorted(tiny.iterdir()) == before


@pytest.mark.parametrize("part", ["records", "dataset_info.json", "features.json"])
def test_a_damaged_directory_is_told_in_one_line(tiny, tmp_path, part):
    file = next(tiny.glob("*train*")) if part == "records" else tiny / part
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match="remove that folder and prepare") as caught:
        load("tiny", tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tiny) in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("cut", [3, 14, -2])
def test_a_truncated_tfrecord_is_noticed(tmp_path, cut):
    file = tmp_path / "records"
    file.write_bytes(tiny_sets.frame(b"first") + tiny_sets.frame(b"second"))
    assert list(tfrecord.records(file)) == [b"first", b"second"]
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"records is (truncated|corrupt)"):
        list(tfrecord.records(file))


def test_a_tfrecord_that_lost_a_whole_record_is_noticed(tiny, tmp_path):
    tiny_sets.to_tfrecord(tiny)
    file = next(tiny.glob("*train*"))
    *remaining_records, _ = tfrecord.records(file)
    file.write_bytes(b"".join(map(tiny_sets.frame, remaining_records)))
    with pytest.raises(InputError, match="holds 39 of its 40 examples"):
        load("tiny", tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("mnits", "did you mean 'mnist'"), ("tinny", "did you mean 'tiny'"), ("zzz", "pass one of")],
)
def test_an_unknown_name_gets_the_nearest(tiny, tmp_path, name, hint):
    with pytest.raises(InputError, match=rf"dataset='{name}': is unknown.*{hint}") as caught:
        load(name, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "tiny/..", "tiny/../tiny", "a:b"])
def test_a_name_is_no_way_out_of_the_data_directory(tiny, tmp_path, name):
    with pytest.raises(InputError, match="unknown"):
        load(name, tmp_path)


@pytest.mark.parametrize("name", ["./tiny", "../{}/tiny", "{}/tiny", "{}/tiny/1.0.0"])
def test_a_path_is_a_folder_of_pictures_and_never_a_prepared_set(tiny, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    name = name.format(tmp_path.name if name.startswith(".") else tmp_path)
    with pytest.raises(InputError, match=r"dataset_info\.json|array_record|holds no folders"):
        load(name, tmp_path)


def test_names_lists_ours_and_the_prepared_ones(tiny, tmp_path):
    (tmp_path / "half" / "incomplete.ABC_1.0.0").mkdir(parents=True)
    assert names(tmp_path) == ("auto", "mnist", "mnist-12k", "tiny")
    assert names(tmp_path / "absent") == ("auto", "mnist", "mnist-12k")


def test_tfdss_variable_names_the_default_directory(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert load("tiny").name == "tiny"


@pytest.mark.parametrize("name", ["auto", "mnist", "tiny"])
def test_a_data_directory_that_is_a_file_is_refused(tmp_path, name):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match=f"data_dir='{file}': not a folder"):
        load(name, file)


def test_importing_the_package_imports_neither_jax_nor_tfds():
    code = "import sys, jaxopt_notes.data as d; d.load('mnist-12k'); print(*sys.modules)"
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True, env=os.environ)
    assert not {"jax", "tensorflow_datasets", "requests"} & set(loaded.stdout.split())
