"""Sorts the files of a folder into classes, and into a training set and a test set. Two layouts:

    FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png
    FOLDER/CLASS/*.png

The first layout also accepts the names `training`, `trainval`, `testing`, `valid`, `validation`,
`val`, `dev` and `eval`, in any case. `test` is the test set. Where `test` is missing or has no
class folders, the validation set takes its place; otherwise the validation set is not used. A note
reports this. The second layout sets a fifth of each class aside as the test set, by the hash of the
file names, so that every machine chooses the same files. The hash does not know which pictures
belong together: where several show one patient, make `train` and `test` yourself.

Pictures in subfolders of a class's folder belong to that class, as in torchvision's ImageFolder.
Hidden files, files that operating systems leave behind, texts and tables are left out. Links are
followed within the folder; links that lead out of it are followed only if the user allows it.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxopt_notes.data.image_files import SUFFIXES

# The names that the folder of each part may have, in any case.
_PARTS = {
    "train": ("train", "training", "trainval"),
    "test": ("test", "testing"),
    "valid": ("validation", "valid", "val", "dev", "eval"),
}
_TEST_SHARE = 5  # one picture in five
# Files that Windows, macOS and network drives leave in folders of pictures.
_SYSTEM = (
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "__macosx",
    "@eadir",
    "$recycle.bin",
)
# Texts and tables that accompany the pictures of a data set.
_BESIDE = (
    *(".txt", ".md", ".rst", ".pdf", ".html", ".csv", ".tsv", ".xlsx", ".db", ".log"),
    *(".json", ".jsonl", ".xml", ".yaml", ".yml", ".ini", ".py", ".ipynb"),
)
_BESIDE_NAMES = ("readme", "license", "licence")

Classes = dict[str, list[Path]]  # class name to its files


class LayoutError(ValueError):
    """The folder has neither layout; the text names the place and the remedy."""


class Parts(NamedTuple):
    """The files of each class, and notes on how training and test files were chosen."""

    train: Classes
    test: Classes
    notes: tuple[str, ...]


def parts(root: Path, follow_links: bool = False) -> Parts:
    """Finds the training and test pictures of a folder.

    Args:
      root: the folder.
      follow_links: whether links may lead out of the folder.

    Raises:
      LayoutError: the folder has neither layout.
      OSError: the folder cannot be read.
    """
    if root.is_file():
        raise LayoutError("is a file; unpack it, and pass the folder inside")
    if not root.is_dir():
        raise LayoutError("no such folder; pass a folder of pictures or the name of a data set")
    walk = _Walk(root, follow_links)
    folders = [item for item in walk.visible(root) if item.is_dir()]
    flat = [item for item in folders if not any(map(Path.is_dir, walk.visible(item)))]
    named = [_named(folders, names) for names in _PARTS.values()]
    train, test, valid = (None if item in flat else item for item in named)
    if train is None:
        _refuse_unlabelled(named, flat)
        _refuse_unknown_parts([item for item in folders if item not in flat])
        aside = "the test set is a fifth of each class, chosen by a hash of the file names"
        train_files, test_files = _split(walk.classes(root), root)
        return Parts(train_files, test_files, (aside,))
    second = test or valid
    if second is None:
        raise LayoutError(
            f"{train.name!r} stands without a 'test' or 'valid' folder that holds classes; add "
            "one of them, or "
            f"pass {str(train)!r}"
        )
    notes = []
    if test is None:
        notes.append(
            f"{root.resolve().name} has no 'test' with classes: {second.name!r} is used as the "
            "test set"
        )
    if unused := [item.name for item in folders if item not in (train, second)]:
        notes.append(f"not used: {', '.join(map(repr, unused))}")
    return Parts(walk.classes(train), walk.classes(second), tuple(notes))


def _named(folders: list[Path], names: tuple[str, ...]) -> Path | None:
    """The folder that has one of the names.

    Raises:
      LayoutError: several folders have one of the names.
    """
    alike = [folder for folder in folders if folder.name.lower() in names]
    if len(alike) > 1:
        first, second = alike[:2]
        raise LayoutError(
            f"{first.name!r} and {second.name!r} both exist; put their pictures into one"
        )
    return alike[0] if alike else None


def _refuse_unlabelled(named: list[Path | None], flat: list[Path]) -> None:
    """Refuses training and test pictures without class folders."""
    names = [repr(item.name) for item in named if item is not None and item in flat]
    if len(names) > 1:
        raise LayoutError(
            f"{' and '.join(names)} hold no class folders; arrange pictures as train/CLASS/x.png"
        )


def _refuse_unknown_parts(folders: list[Path]) -> None:
    """Refuses `training_set` with `test_set`, or `test` alone, because these are not classes."""
    words = {name for names in _PARTS.values() for name in names}
    for folder in sorted(folders, key=lambda folder: folder.name.lower() in words):
        alike = words & set(re.split(r"[^a-z]+", folder.name.lower()))
        if not alike:
            continue
        if folder.name.lower() in words:
            raise LayoutError(f"{folder.name!r} without 'train'; add it, or pass {str(folder)!r}")
        part = next(part for part, names in _PARTS.items() if alike & set(names))
        raise LayoutError(
            f"{str(folder)!r} holds folders, so it is a part of a set; call it {part!r}"
        )


class _Walk(NamedTuple):
    """Lists the visible files of a data set's folder."""

    root: Path
    follow_links: bool

    def classes(self, folder: Path) -> Classes:
        """The files of each class folder within `folder`."""
        by_class: Classes = {}
        for item in self.visible(folder):
            if item.is_dir():
                name = normal(item.name)
                if not name.isprintable() or name in by_class:
                    raise LayoutError(f"{str(item)!r} cannot name a class; rename it")
                by_class[name] = list(self.pictures(item, (folder, item)))
                if not by_class[name]:
                    raise LayoutError(f"{str(item)!r} holds no picture; fill or remove it")
            elif item.suffix.lower() in SUFFIXES:
                raise LayoutError(f"{str(item)!r} is not in a class folder; move it into one")
        if not by_class:
            raise LayoutError(
                f"{str(folder)!r} holds no folders; arrange pictures as FOLDER/CLASS/x.png"
            )
        self._refuse_one_of_many(folder, by_class)
        return by_class

    def _refuse_one_of_many(self, folder: Path, by_class: Classes) -> None:
        """Refuses a folder around the folder of classes, which archives often contain."""
        if len(by_class) == 1:
            only = next(item for item in self.visible(folder) if item.is_dir())
            if any(item.is_dir() for item in self.visible(only)):
                raise LayoutError(
                    f"{str(folder)!r} holds one folder, {only.name!r}, which holds others; "
                    f"move them up into {str(folder)!r}"
                )

    def pictures(self, folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
        """Yields the pictures of a class's folder and of the folders in it.

        Args:
          folder: the folder.
          above: the folders that lead to it, itself included.
        """
        for item in self.visible(folder):
            if item.is_dir():
                if any(item.samefile(other) for other in above):
                    raise LayoutError(f"{str(item)!r} is a circular link; remove it")
                yield from self.pictures(item, (*above, item))
            elif not item.is_file():
                reason = "is a broken link" if item.is_symlink() else "is not a file"
                raise LayoutError(f"{str(item)!r} {reason}; remove it")
            elif item.suffix.lower() in SUFFIXES:
                yield item
            elif not _is_beside(item):
                known = ", ".join(SUFFIXES)
                raise LayoutError(f"{str(item)!r} is not one of {known}; convert or remove it")

    def visible(self, folder: Path) -> Iterator[Path]:
        """Yields the visible entries of a folder in the order of their names."""
        for item in sorted(folder.iterdir(), key=lambda path: normal(path.name)):
            if item.name.startswith(".") or item.name.lower() in _SYSTEM:
                continue
            if item.is_symlink() and not self.follow_links and self._leads_out(item):
                raise LayoutError(
                    f"{str(item)!r} is a link out of the folder; add --follow-links to allow it, "
                    "or put a copy in its place"
                )
            yield item

    def _leads_out(self, link: Path) -> bool:
        return not Path(os.path.realpath(link)).is_relative_to(os.path.realpath(self.root))


def _is_beside(file: Path) -> bool:
    return file.suffix.lower() in _BESIDE or file.name.lower().startswith(_BESIDE_NAMES)


def normal(name: str) -> str:
    """A name in one Unicode form, whether the system stores é as one code point or as two."""
    return unicodedata.normalize("NFC", name)


def _split(classes: Classes, root: Path) -> tuple[Classes, Classes]:
    """Sets a fifth of each class aside for testing, at least one picture."""
    train, test = {}, {}
    for name, files in classes.items():
        if len(files) < 2:
            place = str(files[0].parent)
            raise LayoutError(
                f"{place!r} holds one picture; add a second, because training and testing each "
                "need one"
            )
        by_hash = sorted(files, key=lambda file: _hash(file, root))
        aside = set(by_hash[: max(1, len(files) // _TEST_SHARE)])
        train[name] = [file for file in files if file not in aside]
        test[name] = [file for file in files if file in aside]
    return train, test


def _hash(file: Path, root: Path) -> bytes:
    """The hash of a file's path within its class's folder."""
    within = "/".join(file.relative_to(root).parts[1:])
    return hashlib.sha256(normal(within).encode("utf-8", "surrogateescape")).digest()
