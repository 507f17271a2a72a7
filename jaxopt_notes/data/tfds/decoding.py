"""Decodes a prepared TFDS directory of labelled images into arrays. Importing it imports TFDS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxopt_notes.data.dataset import SMALLEST, Dataset, check_classes
from jaxopt_notes.data.tfds import output, tfrecord
from jaxopt_notes.errors import InputError, first_line

_AT_ONCE = 1_000  # reading by thousands is twice as quick as one by one


def decode(builder_dir: Path, name: str) -> Dataset:
    """Decodes the training and the test split of a prepared directory.

    Returns:
      A `Dataset` of uint8 images (n, height, width, 1 or 3) and int32 labels (n,).

    Raises:
      InputError: there is not one image and one label, a split is missing or empty, the images are
        not all H×W×1 or H×W×3 of one size of at least 4×4, a label is out of range, the training
        set lacks a class of the test set's, or the directory is damaged.
    """
    try:
        with output.tfds_output(progress=False):
            return _decode(tfds.builder_from_directory(builder_dir), name)
    except InputError:
        raise
    except Exception as error:
        whole = isinstance(error, ImportError | MemoryError)
        remedy = "choose another set" if whole else "remove that folder and prepare the set again"
        raise InputError(
            f"dataset='{name}': {builder_dir} cannot be read ({first_line(error)}); {remedy}"
        ) from error


def _decode(builder: Any, name: str) -> Dataset:
    image_key, label_key = _keys(builder.info, name)
    classes = builder.info.features[label_key]
    image = builder.info.features[image_key]
    _check_shape(image.shape, image.np_dtype, name)
    test = _test_split(builder.info.splits, name)
    arrays: list[np.ndarray] = []
    for split in ("train", test):
        images, labels = _read_split(builder, split, image_key, label_key, name)
        _check_labels(labels, classes.num_classes, split, name)
        arrays += [images, labels.astype(np.int32)]
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        sizes = [_size(images.shape[1:]) for images in (arrays[0], arrays[2])]
        raise InputError(
            f"dataset='{name}': images of {sizes[0]} in train, of {sizes[1]} in {test}"
        )
    note = "" if test == "test" else f"{name} has no split 'test': '{test}' is used as the test set"
    train_images, train_labels, test_images, test_labels = arrays
    names = tuple(classes.names)
    check_classes(train_labels, test_labels, names, name)
    return Dataset(name, train_images, train_labels, test_images, test_labels, names, note)


def _keys(info: Any, name: str) -> tuple[str, str]:
    """Returns the image's and the label's feature: the supervised keys, or the only ones."""
    tree = info.features
    features = dict(tree.items()) if isinstance(tree, tfds.features.FeaturesDict) else {}
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    supervised = tuple(info.supervised_keys or ())
    if len(supervised) == 2 and all(
        isinstance(key, str) and type(features.get(key)) is kind
        for key, kind in zip(supervised, kinds, strict=True)
    ):
        return supervised
    images, labels = ([key for key in features if type(features[key]) is kind] for kind in kinds)
    if len(images) != 1 or len(labels) != 1:
        raise InputError(
            f"dataset='{name}': {len(images)} image and {len(labels)} class label features; "
            "pass a set with one of each"
        )
    return images[0], labels[0]


def _test_split(splits: Any, name: str) -> str:
    filled = [split for split in splits if splits[split].num_examples]
    test = next((split for split in ("test", "validation") if split in filled), None)
    if "train" not in filled or test is None:
        names = ", ".join(filled) or "none"
        raise InputError(f"dataset='{name}': splits train and test are needed, found {names}")
    return test


def _examples(builder: Any, split: str, name: str) -> Iterator[dict[str, Any]]:
    info = builder.info
    layout = info.file_format.value
    if layout == "array_record":
        source = builder.as_data_source(split=split)
        for start in range(0, len(source), _AT_ONCE):
            yield from source.__getitems__(range(start, min(start + _AT_ONCE, len(source))))
    elif layout == "tfrecord":
        for path in info.splits[split].filepaths:
            for record in tfrecord.records(Path(path)):
                yield info.features.deserialize_example_np(record)
    else:
        raise InputError(
            f"dataset='{name}': prepared as {layout}; prepare it as array_record or tfrecord"
        )


def _read_split(
    builder: Any, split: str, image_key: str, label_key: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images, uint8 (n, height, width, channels), and the labels, int64 (n,)."""
    count = builder.info.splits[split].num_examples
    labels = np.empty(count, np.int64)
    images = np.empty(0, np.uint8)
    read = 0
    for read, example in enumerate(_examples(builder, split, name), start=1):
        image = example[image_key]
        if read == 1:
            _check_shape(image.shape, image.dtype, name)
            images = np.empty((count, *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            sizes = f"{_size(images.shape[1:])} and of {_size(image.shape)}"
            raise InputError(f"dataset='{name}': images of {sizes}; all must have one size")
        images[read - 1], labels[read - 1] = image, example[label_key]
    if read != count:
        raise ValueError(f"split {split} holds {read} of its {count} examples")
    return images, labels


def _check_shape(shape: tuple[int | None, ...], dtype: Any, name: str) -> None:
    """Raises `InputError` unless such images can be trained on; a feature may leave sides open."""
    fits = len(shape) == 3 and shape[2] in (1, 3)
    if not fits or np.dtype(dtype) != np.uint8:
        raise InputError(
            f"dataset='{name}': images are {_size(shape)} of {np.dtype(dtype)}; "
            "pass H×W×1 or H×W×3 of uint8"
        )
    if any(side is not None and side < SMALLEST for side in shape[:2]):
        raise InputError(
            f"dataset='{name}': images of {_size(shape)} are too small to pool twice; "
            f"pass at least {SMALLEST}×{SMALLEST}"
        )


def _size(shape: tuple[int | None, ...]) -> str:
    return "×".join("?" if side is None else str(side) for side in shape)


def _check_labels(labels: np.ndarray, classes: int, split: str, name: str) -> None:
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise InputError(
            f"dataset='{name}': label {wrong[0]} in split {split}, outside 0 to {classes - 1}; "
            "pass a set whose every example is labelled"
        )
