"""MNIST itself: its official files, and how they become TFDS's `mnist/3.0.1` where it is missing.

TFDS retries for minutes where there is no network. So this looks first: at what is already
prepared, at the files already here, at whether the server answers; only then is TFDS imported.
"""

import hashlib
import shutil
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

from jaxopt_notes.data import errors
from jaxopt_notes.data.tfds import mnist_files, prepared
from jaxopt_notes.data.tfds.mnist_files import FILES, NAME, UnobtainableError, lay_files, manual
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import installed

_ROOM = 150_000_000  # bytes: the downloads, TFDS's records and their temporary copy, the cache
_PATIENCE = 2.0  # seconds that the server is given to answer


def obtain(data_dir: Path) -> Path:
    """Returns the directory of prepared MNIST, preparing it first where that is needed.

    Raises:
      UnobtainableError: it is neither prepared, nor here as files, nor to be downloaded.
      DataDirError: the data directory has no room or cannot be written.
      InputError: one of the files is not the official one.
    """
    if (builder_dir := prepared.find(NAME, data_dir)) is not None:
        return builder_dir
    if str(data_dir).startswith("~"):  # what `default_data_dir` leaves: not to be made here
        raise UnobtainableError("this user has no home folder to keep it in", "pass --data-dir")
    here = _local_files(data_dir)
    missing = [file for file in FILES if file not in here]
    for module in ("tensorflow_datasets", "requests", "array_record"):
        if not installed(module):
            reason = f"{module}, which prepares it, is not installed"
            on_linux = "pip install 'jaxopt-notes[train]' (Linux only)"
            raise UnobtainableError(reason, f"{on_linux}, or choose dataset='mnist-12k'")
    if missing and (silence := _silence()):
        reason = f"it is not prepared in {data_dir} and {silence}"
        raise UnobtainableError(reason, lay_files(data_dir))
    _check_room(data_dir)
    from jaxopt_notes.data.tfds import builder  # imports TFDS

    for file, path in here.items():
        _check_official(path, *builder.official(mnist_files.URL + file))
    builder.prepare(data_dir, downloading=bool(missing))
    builder_dir = prepared.find(NAME, data_dir)
    assert builder_dir is not None
    return builder_dir


def _local_files(data_dir: Path) -> dict[str, Path]:
    """Returns the official files that TFDS would find by itself: laid by hand, or its downloads."""
    here = {}
    for file in FILES:
        stem, suffix = file.removesuffix(".gz"), ".gz"
        downloads = (data_dir / "downloads").rglob(f"cvdf-datasets_mnist_{stem}*{suffix}")
        laid = [manual(data_dir) / file, *downloads]
        if local := next((path for path in laid if path.is_file()), None):
            here[file] = local
    return here


def _silence() -> str | None:
    """Returns what keeps the files from being downloaded, or None where their server answers.

    It asks as TFDS's downloader will, through `requests` and so by the same proxies and
    certificates, in a thread, as looking up a name cannot be given a time limit.
    """
    host = urlsplit(mnist_files.URL).hostname
    answer: list[str | None] = [f"{host} does not answer"]

    def ask() -> None:
        import requests

        try:
            response = requests.head(mnist_files.URL + FILES[-1], timeout=_PATIENCE)
            refused = f"{host} answers with status {response.status_code}"
            answer[0] = None if response.ok else refused
        except (requests.RequestException, OSError):
            answer[0] = f"{host} cannot be reached"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return answer[0]


def _check_room(data_dir: Path) -> None:
    """Raises `DataDirError` unless the directory, made where it is missing, can take MNIST."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir):
            pass
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        raise errors.data_dir_error(data_dir, error) from error
    if free < _ROOM:
        raise errors.DataDirError(
            f"data_dir='{data_dir}': {free / 1e6:.0f} MB left on its disk, MNIST needs "
            f"{_ROOM / 1e6:.0f} MB; free some space or choose another folder"
        )


def _check_official(path: Path, size: int, sha256: str) -> None:
    """Raises `InputError` unless the file has the official size and checksum."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        kind = "truncated" if len(content) < size else "corrupt"
        raise InputError(
            f"dataset='{NAME}': {path} is {kind} ({len(content):,} of {size:,} bytes, sha256 "
            f"{digest} instead of {sha256}); replace or remove it"
        )
