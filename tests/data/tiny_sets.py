"""Small data sets for the tests: TFDS directories, and MNIST's four files with a few digits."""

import gzip
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jaxopt_notes.data.tfds import mnist_files, output

Examples = list[dict[str, Any]]


def digits(count: int, size: tuple[int, ...] = (28, 28), classes: int = 10, seed: int = 0):
    """Returns random uint8 images (count, *size) and uint8 labels (count,), each class in turn."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *size), dtype=np.uint8)
    return images, (np.arange(count) % classes).astype(np.uint8)


def examples(count: int, size: tuple[int, ...], classes: int, seed: int = 0) -> Examples:
    """Returns examples as TFDS wants them: Pillow images, as arrays would need TensorFlow."""
    images, labels = digits(count, size, classes, seed)
    return [
        {"image": Image.fromarray(image), "label": int(label)}
        for image, label in zip(images, labels, strict=True)
    ]


def write_set(
    data_dir: Path,
    name: str,
    splits: Mapping[str, Examples],
    features: Mapping[str, Any],
    config: str | None = None,
    supervised: tuple[str, str] | None = ("image", "label"),
    version: str = "1.0.0",
) -> Path:
    """Prepares a TFDS set of these examples, as array_record, and returns its directory."""

    def info(self: Any) -> Any:
        tree = tfds.features.FeaturesDict(dict(features))
        return tfds.core.DatasetInfo(builder=self, features=tree, supervised_keys=supervised)

    members: dict[str, Any] = {
        "name": name,
        "VERSION": tfds.core.Version(version),
        "_info": info,
        "_split_generators": lambda self, _: {s: enumerate(rows) for s, rows in splits.items()},
        "_generate_examples": lambda self: iter(()),
        "pkg_dir_path": data_dir,
        "__module__": __name__,
    }
    if config:
        members["BUILDER_CONFIGS"] = [tfds.core.BuilderConfig(name=config)]
    base = tfds.core.GeneratorBasedBuilder
    kind = type(base)("Tiny", (base,), members, skip_registration=True)
    builder = kind(data_dir=data_dir, file_format="array_record", config=config)
    with output.tfds_output(progress=False):
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
    return Path(builder.data_dir)


def write_images(
    data_dir: Path,
    name: str = "tiny",
    size: tuple[int, ...] = (28, 28),
    classes: int = 10,
    splits: Mapping[str, int] | None = None,
    config: str | None = None,
) -> Path:
    """Prepares a TFDS set of random images of this size, (height, width) or with 3 channels."""
    shape = (*size, 1) if len(size) == 2 else size
    counts = splits or {"train": 40, "test": 20}
    rows = {s: examples(n, size, classes, seed) for seed, (s, n) in enumerate(counts.items())}
    features = {
        "image": tfds.features.Image(shape=shape),
        "label": tfds.features.ClassLabel(num_classes=classes),
    }
    return write_set(data_dir, name, rows, features, config)


def stripes(
    count: int, size: tuple[int, ...] = (12, 12), classes: int = 2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns dim noise with a bright column at a place that tells the class: easy to learn."""
    images, labels = digits(count, size, classes, seed)
    images //= 4
    for image, label in zip(images, labels, strict=True):
        start = label * size[1] // classes
        image[:, start : start + 2] = 255
    return images, labels


def write_folder(
    folder: Path, names: list[str], count: int, size: tuple[int, ...] = (12, 12), seed: int = 0
) -> Path:
    """Lays `count` striped PNGs into class folders of these names, in turn."""
    images, labels = stripes(count, size, len(names), seed)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / names[label] / f"{i:03}.png")
    return folder


def to_tfrecord(builder_dir: Path) -> None:
    """Rewrites a prepared array_record directory as TensorFlow would have written it."""
    builder = tfds.builder_from_directory(builder_dir)
    for split, info in builder.info.splits.items():
        source = builder.as_data_source(
            split=split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
        )
        (old,) = (Path(path) for path in info.filepaths)
        frames = (frame(source[i]) for i in range(len(source)))
        old.with_name(old.name.replace("array_record", "tfrecord")).write_bytes(b"".join(frames))
        old.unlink()
    info_file = builder_dir / "dataset_info.json"
    described = json.loads(info_file.read_text())
    assert described["fileFormat"] == "array_record"
    info_file.write_text(json.dumps(described | {"fileFormat": "tfrecord"}))


def frame(record: bytes) -> bytes:
    """Returns a TFRecord frame: length, its CRC, the record, its CRC."""
    length = struct.pack("<Q", len(record))
    return length + _masked_crc(length) + record + _masked_crc(record)


def _masked_crc(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def idx(array: np.ndarray) -> bytes:
    """Returns a gzipped IDX file of bytes."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def write_official(folder: Path, train: int = 30, test: int = 10) -> dict[str, np.ndarray]:
    """Lays four files like MNIST's own, with few digits, and returns the arrays by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for split, count in (("train", train), ("test", test)):
        arrays |= dict(zip(mnist_files.SPLITS[split], digits(count, seed=count), strict=True))
    for file, array in arrays.items():
        (folder / file).write_bytes(idx(array))
    return arrays
