"""Data sets as plain arrays: `load` loads one by name, `epoch_order` orders it into batches.

Importing this package imports neither jax nor tensorflow-datasets.
"""

import os
from pathlib import Path

from jaxopt_notes import places
from jaxopt_notes.data import bundled, errors
from jaxopt_notes.data.dataset import Dataset
from jaxopt_notes.data.order import epoch_order
from jaxopt_notes.data.tfds import mnist, mnist_files, prepared
from jaxopt_notes.errors import InputError, nearest
from jaxopt_notes.extras import require

__all__ = ["Dataset", "default_data_dir", "epoch_order", "load", "located", "names"]

_OURS = ("auto", mnist_files.NAME, bundled.NAME)


def default_data_dir() -> Path:
    """Returns TFDS's data directory: `$TFDS_DATA_DIR`, or `~/tensorflow_datasets`.

    Raises:
      InputError: `$TFDS_DATA_DIR` is a URL.

    >>> default_data_dir().is_absolute()
    True
    """
    # As in TFDS: unlike `Path.expanduser`, this does not fail where there is no home folder.
    default = os.path.expanduser("~/tensorflow_datasets")
    return Path(places.from_environment("TFDS_DATA_DIR") or default)


def names(data_dir: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """Returns the names that `load` accepts: ours, and the sets prepared in the data directory.

    >>> names()[:3]
    ('auto', 'mnist', 'mnist-12k')
    """
    try:
        prepared_names = prepared.names(_folder(data_dir))
    except OSError:  # a directory that cannot be listed adds no names
        prepared_names = []
    return (*_OURS, *(name for name in prepared_names if name not in _OURS))


def load(
    name: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    image_size: tuple[int, int] | None = None,
    follow_links: bool = False,
) -> Dataset:
    """Loads an image-classification data set as arrays.

    Args:
      name: the name of a set, tried in this order. `mnist`: MNIST, which TFDS prepares the first
        time. `mnist-12k`: the 12,000 digits in this package. `auto`: `mnist` where it is available,
        else `mnist-12k` with a `note` that says so. A path that starts with `/`, `.` or `~`: a
        folder of pictures with one folder per class (see `folder_layout.py`). The name of a
        prepared TFDS set of small labelled images, such as `fashion_mnist` or `emnist/letters`.
        Any other path of a folder.
      data_dir: TFDS's data directory; None for `default_data_dir()`.
      image_size: height and width to scale a folder's pictures to; other sets have one size.
      follow_links: whether a folder's links may lead out of the folder; other sets have no links.

    Returns:
      A `Dataset`: uint8 images (n, height, width, 1 or 3), int32 labels (n,).

    Raises:
      InputError: the name is unknown, the set is not available or not usable, a file is damaged, or
        the data directory has no room or cannot be used. One line names the argument and the
        remedy.
      MissingExtraError: the extra `train` is not installed, and this set needs it.

    >>> load("mnist-12k").train_images.shape
    (10000, 28, 28, 1)
    """
    if "://" in name:
        places.local("dataset", name)
    if name == bundled.NAME and image_size is None and not follow_links:
        return bundled.load()  # the data directory does not matter
    where = _folder(data_dir)
    try:
        if _is_folder(name, where):
            return _pictures(name, image_size, follow_links)
        if image_size is not None:
            raise InputError(
                f"--image-size {image_size[0]}x{image_size[1]}: only a folder's pictures are "
                f"scaled, and '{name}' is not a folder; leave it out"
            )
        if follow_links:
            raise InputError(
                f"--follow-links: only a folder of pictures has links, and '{name}' is not a "
                "folder; leave it out"
            )
        if name == "auto":
            return _auto(where, chosen=data_dir is not None)
        if name == mnist_files.NAME:
            return prepared.load(mnist.obtain(where), name)
        builder_dir = prepared.find(name, where)
        if builder_dir is None:
            raise _unknown(name, where)
        return prepared.load(builder_dir, name)
    except OSError as error:
        raise errors.data_dir_error(where, error) from error


def located(name: str, data_dir: str | os.PathLike[str] | None = None) -> str:
    """Returns the name by which `load` finds a set from any working directory.

    For a folder of pictures, this is its absolute path.

    >>> located("mnist-12k"), located("/pictures/../pets")
    ('mnist-12k', '/pets')
    """
    if name in _OURS or not _is_folder(name, _folder(data_dir)):
        return name
    return os.path.abspath(os.path.expanduser(name))


def _is_folder(name: str, data_dir: Path) -> bool:
    """Whether a name is a folder's path: it looks like a path, or only a folder has this name."""
    if name.startswith((".", "~")) or os.path.isabs(name):
        return True
    if name in _OURS or not name or not os.path.isdir(name):
        return False
    return prepared.find(name, data_dir) is None


def _pictures(path: str, image_size: tuple[int, int] | None, follow_links: bool) -> Dataset:
    """Loads a folder of pictures."""
    require(f"dataset='{path}'", "train", "PIL")
    from jaxopt_notes.data import folder  # imports Pillow

    return folder.load(path, image_size, follow_links)


def _folder(data_dir: str | os.PathLike[str] | None) -> Path:
    return default_data_dir() if data_dir is None else Path(places.local("data_dir", str(data_dir)))


def _auto(folder: Path, chosen: bool) -> Dataset:
    """Loads MNIST or, where it is not available, the embedded digits with a note that says why."""
    try:
        return prepared.load(mnist.obtain(folder), mnist_files.NAME)
    except mnist_files.UnobtainableError as error:
        reason = error.reason
    except errors.DataDirError as error:
        if chosen:  # an error, because the user named this directory
            raise
        reason = str(error)
    except OSError as error:  # for example, another user's home folder
        if chosen:
            raise
        reason = str(errors.data_dir_error(folder, error))
    note = (
        f"using {bundled.NAME}, the 12,000 digits in this package, instead of all of MNIST: "
        f"{reason}"
    )
    return bundled.load()._replace(note=note)


def _unknown(name: str, folder: Path) -> InputError:
    known = names(folder)
    near = nearest(name, known)
    hint = f"did you mean '{near}'" if near else f"pass one of {', '.join(known)}"
    return InputError(
        f"dataset='{name}': is unknown, not prepared in {folder}, and not a folder here; {hint}, "
        "or prepare it there with tensorflow-datasets"
    )
