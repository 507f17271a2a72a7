"""Loads a folder of pictures as a data set. `folder_layout` describes the layout of the folder.

Classes are numbered in the order of their names.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxopt_notes.data import folder_layout, image_files
from jaxopt_notes.data.dataset import SMALLEST, TURNED, Dataset, check_classes
from jaxopt_notes.data.folder_layout import Classes, LayoutError
from jaxopt_notes.data.image_files import Header
from jaxopt_notes.errors import InputError


def load(
    path: str, image_size: tuple[int, int] | None = None, follow_links: bool = False
) -> Dataset:
    """Loads a folder of picture files.

    Args:
      path: the folder's path.
      image_size: height and width to scale every picture to; None leaves the pictures unscaled.
      follow_links: whether links may lead out of the folder.

    Returns:
      A `Dataset` named after the folder; with 3 channels if any picture has colour, else with 1.

    Raises:
      InputError: the folder has another layout, a class has no picture or is only in the test set,
        there is only one class, the pictures have several sizes, or a file is not a picture, is
        broken, or lies outside the folder. One line names the cause.
    """
    root = Path(os.path.expanduser(path))
    try:
        train, test, notes = folder_layout.parts(root, follow_links)
        names = tuple(sorted(train.keys() | test.keys()))
        labels = [_labels(part, names) for part in (train, test)]
        check_classes(labels[0], labels[1], names, path)
        files = [[file for name in names for file in part.get(name, [])] for part in (train, test)]
        headers = [image_files.header(file) for file in files[0] + files[1]]
        shape = _common_shape(files[0] + files[1], headers, image_size)
        images = [_decode(part, shape) for part in files]
    except (image_files.PictureError, LayoutError) as error:
        raise InputError(f"dataset={path!r}: {error}") from error
    except OSError as error:
        reason = f"{str(error.filename)!r} cannot be read ({error.strerror})"
        raise InputError(f"dataset={path!r}: {reason}; choose another folder") from error
    notes += _notes(headers, shape[-1], images[0], images[1])
    if absent := [name for name in names if name not in test]:
        notes += (f"the test set has no picture of {', '.join(map(repr, absent))}",)
    name = root.resolve().name
    name = name if name and name.isprintable() else "folder"
    return Dataset(name, images[0], labels[0], images[1], labels[1], names, "; ".join(notes))


def _notes(
    headers: Sequence[Header], channels: int, train: np.ndarray, test: np.ndarray
) -> tuple[str, ...]:
    """Notes for the user about the pictures."""
    grey = sum(header.channels < channels for header in headers)
    turned = sum(header.turned for header in headers)
    seen = {hash(image.tobytes()) for image in train}
    twice = sum(hash(image.tobytes()) in seen for image in test)
    counted = (
        ("grey pictures among colour ones, read as RGB", grey),
        (f"pictures {TURNED}", turned),
        ("test pictures that are in the training set too", twice),
    )
    return tuple(f"{text}: {count:,}" for text, count in counted if count)


def _labels(part: Classes, names: Sequence[str]) -> np.ndarray:
    counts = [len(part.get(name, [])) for name in names]
    return np.repeat(np.arange(len(names), dtype=np.int32), counts)


def _common_shape(
    files: Sequence[Path], headers: Sequence[Header], image_size: tuple[int, int] | None
) -> tuple[int, int, int]:
    """Returns the height, width and channels to decode to."""
    height, width = image_size or headers[0][:2]
    if image_size is None:
        for file, header in zip(files, headers):
            if header[:2] != (height, width):
                upright = " after its EXIF rotation" if header.turned else ""
                raise image_files.PictureError(
                    file,
                    f"is {header.height}×{header.width}{upright}, but {str(files[0])!r} is "
                    f"{height}×{width}; pass --image-size {height}x{width} to scale all to one "
                    "size",
                )
    if min(height, width) < SMALLEST:
        raise LayoutError(
            f"pictures of {height}×{width} are too small to pool twice; pass an --image-size of "
            f"at least {SMALLEST}x{SMALLEST}"
        )
    return height, width, max(header.channels for header in headers)


def _decode(files: Sequence[Path], shape: tuple[int, int, int]) -> np.ndarray:
    try:
        images = np.empty((len(files), *shape), np.uint8)
        for image, file in zip(images, files):
            image[...] = image_files.pixels(file, *shape)
    except MemoryError as error:
        size = f"{len(files) * np.prod(shape, dtype=float) / 1e9:.1f} GB"
        raise LayoutError(
            f"its pictures need {size} of memory; pass an --image-size to scale them down"
        ) from error
    return images
