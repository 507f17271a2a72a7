"""A folder of pictures, sorted into one folder a class, as a data set.

    FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png
    FOLDER/CLASS/*.png

In the first, `validation` or `val` stands for a missing `test`. In the second a fifth of each class
is set aside as the test set, by the hash of the file names: the same files on every machine. It
knows nothing of which pictures belong together; where several show the same patient, lay `train`
and `test` yourself.

Classes are numbered by their names' order. Hidden files are passed over; anything else in a class's
folder has to be a picture. Links are followed within the folder, and refused where they leave it.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxopt_notes.data import image_files
from jaxopt_notes.data.dataset import SMALLEST, Dataset, check_classes
from jaxopt_notes.errors import InputError

_SUFFIXES = (".png", ".jpg", ".jpeg")
_TEST_NAMES = ("test", "validation", "val")
_TEST_SHARE = 5  # one of so many
_NOT_OURS = ("thumbs.db", "desktop.ini")  # what Windows leaves in folders of pictures

Classes = dict[str, list[Path]]  # class name: its files


def load(given: str, image_size: tuple[int, int] | None = None) -> Dataset:
    """Loads a folder of PNG and JPEG files.

    Args:
      given: the folder's path.
      image_size: height and width to scale every picture to; None takes them as they are.

    Returns:
      A `Dataset` named for the folder; of 3 channels if any picture has colour, else of 1.

    Raises:
      InputError: the folder is laid out otherwise, a class is empty or in the test set only, there
        is but one class, the pictures are of several sizes, or a file is none, is broken, or lies
        outside the folder. One line names it.
    """
    root = Path(os.path.expanduser(given))
    try:
        train, test, note = _parts(root)
        names = tuple(sorted(train.keys() | test.keys()))
        labels = [_labels(part, names) for part in (train, test)]
        check_classes(labels[0], labels[1], names, given)
        files = [[file for name in names for file in part.get(name, [])] for part in (train, test)]
        shape, grey = _common_shape(files[0] + files[1], image_size)
        images = [_decode(part, shape) for part in files]
    except (image_files.PictureError, _LayoutError) as error:
        raise InputError(f"dataset={given!r}: {error}") from error
    except OSError as error:
        reason = f"{str(error.filename)!r} cannot be read ({error.strerror})"
        raise InputError(f"dataset={given!r}: {reason}; choose another folder") from error
    if grey:
        note += (
            f"{'; ' if note else ''}{grey:,} grey pictures among the colour ones are taken as RGB"
        )
    name = root.resolve().name
    name = name if name and name.isprintable() else "folder"
    return Dataset(name, images[0], labels[0], images[1], labels[1], names, note)


class _LayoutError(ValueError):
    """The folder is not laid out as it has to be; the text names the place and the remedy."""


def _parts(root: Path) -> tuple[Classes, Classes, str]:
    """Returns the training files, the test files, and the note on how they were told apart."""
    if not root.is_dir():
        raise _LayoutError("no such folder; give a folder of pictures or a set's name")
    folders = {item.name: item for item in _visible(root, root) if item.is_dir()}
    if "train" not in folders or not any(p.is_dir() for p in _visible(folders["train"], root)):
        train, test = _split(_classes(root, root))
        return train, test, "a fifth of each class, by its file names' hash, is the test set"
    second = next((name for name in _TEST_NAMES if name in folders), None)
    if second is None:
        raise _LayoutError(f"'train' without 'test'; add it, or give {str(folders['train'])!r}")
    note = "" if second == "test" else f"{root.name} has no 'test': '{second}' stands for it"
    return _classes(folders["train"], root), _classes(folders[second], root), note


def _classes(folder: Path, root: Path) -> Classes:
    """Returns the files of each class folder within `folder`."""
    found: Classes = {}
    for item in _visible(folder, root):
        if item.is_dir():
            name = _normal(item.name)
            if not name.isprintable() or name in found:
                raise _LayoutError(f"{str(item)!r} cannot name a class; rename it")
            found[name] = _pictures(item, root)
        elif item.suffix.lower() in _SUFFIXES:
            raise _LayoutError(f"{str(item)!r} lies in no class's folder; move it into one")
    if not found:
        raise _LayoutError(f"{str(folder)!r} holds no folders; lay pictures as FOLDER/CLASS/x.png")
    return found


def _pictures(folder: Path, root: Path) -> list[Path]:
    files = list(_visible(folder, root))
    for file in files:
        if not file.is_file():
            raise _LayoutError(f"{str(file)!r} is no file; a class's folder holds pictures only")
        if file.suffix.lower() not in _SUFFIXES:
            raise _LayoutError(f"{str(file)!r} is no .png, .jpg or .jpeg; convert or remove it")
    if not files:
        raise _LayoutError(f"{str(folder)!r} is empty; fill or remove it")
    return files


def _visible(folder: Path, root: Path) -> Iterator[Path]:
    """Yields what a folder holds, in the order of names, without what is hidden."""
    for item in sorted(folder.iterdir(), key=lambda path: _normal(path.name)):
        if item.name.startswith(".") or item.name.lower() in _NOT_OURS:
            continue
        if item.is_symlink() and not item.resolve().is_relative_to(root.resolve()):
            raise _LayoutError(
                f"{str(item)!r} is a link out of the folder; put a copy in its place"
            )
        yield item


def _normal(name: str) -> str:
    """A name as one and the same text, whether the system keeps é in one piece or in two."""
    return unicodedata.normalize("NFC", name)


def _split(classes: Classes) -> tuple[Classes, Classes]:
    """Sets a fifth of each class aside, at least one picture."""
    train, test = {}, {}
    for name, files in classes.items():
        if len(files) < 2:
            place = str(files[0].parent)
            raise _LayoutError(f"{place!r} holds one picture; give two, to train and to test on")
        aside = set(sorted(files, key=_hash)[: max(1, len(files) // _TEST_SHARE)])
        train[name] = [file for file in files if file not in aside]
        test[name] = [file for file in files if file in aside]
    return train, test


def _hash(file: Path) -> bytes:
    return hashlib.sha256(_normal(file.name).encode("utf-8", "surrogateescape")).digest()


def _labels(part: Classes, names: Sequence[str]) -> np.ndarray:
    counts = [len(part.get(name, [])) for name in names]
    return np.repeat(np.arange(len(names), dtype=np.int32), counts)


def _common_shape(
    files: Sequence[Path], image_size: tuple[int, int] | None
) -> tuple[tuple[int, int, int], int]:
    """Returns the height, width and channels to decode to, and how many grey ones gain colour."""
    headers = [image_files.header(file) for file in files]
    channels = max(header.channels for header in headers)
    height, width = image_size or headers[0][:2]
    if image_size is None:
        for file, header in zip(files, headers):
            if header[:2] != (height, width):
                raise image_files.PictureError(
                    file,
                    f"is {header.height}×{header.width}, {str(files[0])!r} {height}×{width}; give "
                    f"--image-size {height}x{width} to scale all to one size",
                )
    if min(height, width) < SMALLEST:
        raise _LayoutError(
            f"pictures of {height}×{width} are too small to pool twice; give a --image-size of "
            f"{SMALLEST}x{SMALLEST} at least"
        )
    grey = sum(header.channels < channels for header in headers)
    return (height, width, channels), grey


def _decode(files: Sequence[Path], shape: tuple[int, int, int]) -> np.ndarray:
    try:
        images = np.empty((len(files), *shape), np.uint8)
        for image, file in zip(images, files):
            image[...] = image_files.pixels(file, *shape)
    except MemoryError as error:
        size = f"{len(files) * np.prod(shape, dtype=float) / 1e9:.1f} GB"
        raise _LayoutError(f"its pictures need {size} of memory; give a --image-size") from error
    return images
