"""Any small labelled TFDS set that is already prepared can be loaded by name, or says why not."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxopt_notes.data import load, names
from jaxopt_notes.data.tfds import cache
from jaxopt_notes.errors import InputError
from tests.data import tiny_sets


def refused(name, data_dir):
    """The one line with which a set is refused."""
    with pytest.raises(InputError) as caught:
        load(name, data_dir)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"dataset='{name}': ")
    return message


def same_arrays(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one[1:5], other[1:5], strict=True))


@pytest.mark.parametrize(
    ("size", "classes"),
    [((28, 28), 10), ((8, 8, 3), 10), ((9, 13), 5), ((4, 7, 3), 2)],
    ids=["grey", "colour", "odd size", "two classes"],
)
def test_size_channels_and_classes_follow_from_the_set(tmp_path, size, classes):
    tiny_sets.write_images(tmp_path, size=size, classes=classes)
    loaded = load("tiny", tmp_path)
    shape = size if len(size) == 3 else (*size, 1)
    assert loaded.train_images.shape == (40, *shape)
    assert loaded.test_images.shape == (20, *shape)
    assert loaded.train_images.dtype == np.uint8
    assert loaded.train_labels.dtype == loaded.test_labels.dtype == np.int32
    assert loaded.class_names == tuple(str(c) for c in range(classes))
    assert loaded.note == ""


def test_images_and_labels_belong_together(tmp_path):
    tiny_sets.write_images(tmp_path, size=(6, 5, 3), classes=3)
    loaded = load("tiny", tmp_path)
    images, labels = tiny_sets.digits(40, (6, 5, 3), classes=3, seed=0)
    written = {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
    pairs = zip(loaded.train_images, loaded.train_labels, strict=True)
    assert {(image.tobytes(), int(label)) for image, label in pairs} == written


def test_class_names_are_the_sets_own(tmp_path):
    features = {
        "picture": tfds.features.Image(shape=(6, 6, 1)),
        "kind": tfds.features.ClassLabel(names=["cat", "dog"]),
        "where": tfds.features.Text(),
    }
    rows = [
        {"picture": row["image"], "kind": row["label"], "where": "here"}
        for row in tiny_sets.examples(10, (6, 6), 2)
    ]
    tiny_sets.write_set(tmp_path, "pets", {"train": rows, "test": rows}, features, supervised=None)
    assert load("pets", tmp_path).class_names == ("cat", "dog")


def test_of_two_labels_the_supervised_one_is_taken(tmp_path):
    features = {
        "image": tfds.features.Image(shape=(6, 6, 1)),
        "coarse": tfds.features.ClassLabel(num_classes=2),
        "label": tfds.features.ClassLabel(num_classes=4),
    }
    rows = [row | {"coarse": row["label"] // 2} for row in tiny_sets.examples(12, (6, 6), 4)]
    splits = {"train": rows, "test": rows}
    tiny_sets.write_set(tmp_path, "both", splits, features)
    assert len(load("both", tmp_path).class_names) == 4
    tiny_sets.write_set(tmp_path, "neither", splits, features, supervised=None)
    assert "1 image and 2 class label features" in refused("neither", tmp_path)


def test_a_set_written_by_tensorflow_gives_the_same_arrays(tmp_path):
    written = tiny_sets.write_images(tmp_path, size=(8, 8, 3))
    expected = load("tiny", tmp_path)
    (written / cache.FILE).unlink()
    tiny_sets.to_tfrecord(written)
    assert same_arrays(load("tiny", tmp_path), expected)


def test_configs_and_versions(tmp_path):
    tiny_sets.write_images(tmp_path, "letters", config="upper", classes=3)
    assert len(load("letters", tmp_path).class_names) == 3
    tiny_sets.write_images(tmp_path, "letters", config="lower", classes=4)
    assert len(load("letters/lower", tmp_path).class_names) == 4
    assert load("letters/upper:1.0.0", tmp_path).name == "letters/upper:1.0.0"
    assert "pass one of letters/lower, letters/upper" in refused("letters", tmp_path)
    assert "unknown" in refused("letters/upper:2.0.0", tmp_path)
    assert names(tmp_path)[3:] == ("letters/lower", "letters/upper")


def test_the_newest_version_is_taken(tmp_path):
    for version, classes in (("9.0.0", 2), ("10.0.0", 3)):
        features = {
            "image": tfds.features.Image(shape=(6, 6, 1)),
            "label": tfds.features.ClassLabel(num_classes=classes),
        }
        rows = tiny_sets.examples(6, (6, 6), classes)
        splits = {"train": rows, "test": rows}
        tiny_sets.write_set(tmp_path, "tiny", splits, features, version=version)
    assert len(load("tiny", tmp_path).class_names) == 3
    assert len(load("tiny:9.0.0", tmp_path).class_names) == 2


def test_validation_stands_for_a_missing_test_split_and_the_note_says_so(tmp_path):
    tiny_sets.write_images(tmp_path, splits={"train": 20, "validation": 10})
    for _ in range(2):  # decoded, then from the cache
        loaded = load("tiny", tmp_path)
        assert len(loaded.test_images) == 10
        assert loaded.note == "tiny has no split 'test': 'validation' is used as the test set"


@pytest.mark.parametrize("splits", [{"train": 20}, {"test": 20, "validation": 10}])
def test_a_missing_split_is_refused(tmp_path, splits):
    tiny_sets.write_images(tmp_path, splits=splits)
    split_names = ", ".join(splits)
    assert f"train and test are needed, found {split_names}" in refused("tiny", tmp_path)


@pytest.mark.parametrize("size", [(3, 28), (28, 2, 3)])
def test_images_too_small_to_pool_twice_are_refused(tmp_path, size):
    tiny_sets.write_images(tmp_path, size=size)
    assert "too small to pool twice" in refused("tiny", tmp_path)


def test_images_with_channels_first_are_refused(tmp_path):
    features = {
        "image": tfds.features.Tensor(shape=(3, 6, 6), dtype=np.uint8),
        "label": tfds.features.ClassLabel(num_classes=2),
    }
    rows = [{"image": np.zeros((3, 6, 6), np.uint8), "label": 0}]
    tiny_sets.write_set(tmp_path, "tensors", {"train": rows, "test": rows}, features)
    assert "0 image and 1 class label features" in refused("tensors", tmp_path)
    features["image"] = tfds.features.Image(shape=(3, 6, 6))
    rows = tiny_sets.examples(2, (6, 6, 3), 2)
    tiny_sets.write_set(tmp_path, "images", {"train": rows, "test": rows}, features)
    assert "images are 3×6×6 of uint8; pass H×W×1 or H×W×3" in refused("images", tmp_path)


def test_images_with_transparency_or_16_bits_are_refused(tmp_path):
    label = tfds.features.ClassLabel(num_classes=2)
    clear = [{"image": Image.new("RGBA", (6, 6)), "label": 1}]
    deep = [{"image": Image.new("I;16", (6, 6)), "label": 1}]
    for name, rows, image in (
        ("clear", clear, tfds.features.Image(shape=(6, 6, 4))),
        ("deep", deep, tfds.features.Image(shape=(6, 6, 1), dtype=np.uint16)),
    ):
        features = {"image": image, "label": label}
        tiny_sets.write_set(tmp_path, name, {"train": rows, "test": rows}, features)
    assert "6×6×4 of uint8" in refused("clear", tmp_path)
    assert "6×6×1 of uint16" in refused("deep", tmp_path)


def test_images_of_several_sizes_are_refused(tmp_path):
    features = {
        "image": tfds.features.Image(shape=(None, None, 1)),
        "label": tfds.features.ClassLabel(num_classes=2),
    }
    small, large = tiny_sets.examples(4, (6, 6), 2), tiny_sets.examples(4, (8, 8), 2)
    tiny_sets.write_set(tmp_path, "one", {"train": small, "test": small}, features)
    assert load("one", tmp_path).train_images.shape == (4, 6, 6, 1)
    tiny_sets.write_set(tmp_path, "mixed", {"train": small + large, "test": small}, features)
    assert "all must have one size" in refused("mixed", tmp_path)
    tiny_sets.write_set(tmp_path, "apart", {"train": small, "test": large}, features)
    assert "6×6×1 in train, of 8×8×1 in test" in refused("apart", tmp_path)


def test_examples_without_a_label_are_refused(tmp_path):
    features = {
        "image": tfds.features.Image(shape=(6, 6, 1)),
        "label": tfds.features.ClassLabel(num_classes=2),
    }
    rows = tiny_sets.examples(4, (6, 6), 2)
    unlabelled = [row | {"label": -1} for row in rows]  # TFDS's sign for none
    tiny_sets.write_set(tmp_path, "quiz", {"train": rows, "test": unlabelled}, features)
    assert "label -1 in split test, outside 0 to 1" in refused("quiz", tmp_path)


def test_a_class_of_the_test_set_that_training_lacks_is_refused(tmp_path):
    features = {
        "image": tfds.features.Image(shape=(6, 6, 1)),
        "label": tfds.features.ClassLabel(names=["cat", "dog", "emu"]),
    }
    rows = tiny_sets.examples(6, (6, 6), 3)
    known = [row for row in rows if row["label"] != 2]
    tiny_sets.write_set(tmp_path, "pets", {"train": known, "test": rows}, features)
    assert "class 'emu' is in the test set but not in the training" in refused("pets", tmp_path)
    tiny_sets.write_set(tmp_path, "most", {"train": rows, "test": known}, features)
    assert len(load("most", tmp_path).class_names) == 3


def test_one_class_is_refused(tmp_path):
    tiny_sets.write_images(tmp_path, classes=1)
    assert "one class, '0'" in refused("tiny", tmp_path)


def test_another_record_format_is_named(tmp_path):
    written = tiny_sets.write_images(tmp_path)
    info = written / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"riegeli"'))
    assert "prepared as riegeli" in refused("tiny", tmp_path)
