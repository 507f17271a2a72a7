"""A TFDS builder that writes the standard `mnist/3.0.1` without TensorFlow.

TFDS's own builder reads the files and encodes the images with TensorFlow. This one has the same
name, version, features, keys and source files, so that it writes the same examples in the same
order, and each reads what the other wrote. Importing this module imports TFDS.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.download import checksums, download_manager, downloader

from jaxopt_notes.data import errors
from jaxopt_notes.data.tfds import mnist_files, output
from jaxopt_notes.errors import InputError, first_line

_RETRIES = 2  # the server has just answered; TFDS's own 10 take minutes


# Not registered: TFDS's registry has its own "mnist", which `tfds.builder` shall go on giving.
class Mnist(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """MNIST as TFDS lays it out, from its four official files."""

    VERSION = tfds.core.Version("3.0.1")

    def _info(self) -> Any:
        return tfds.core.DatasetInfo(
            builder=self,
            description="The MNIST database of handwritten digits.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(28, 28, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="http://yann.lecun.com/exdb/mnist/",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        paths = dl_manager.download({file: mnist_files.URL + file for file in mnist_files.FILES})
        return {
            split: self._generate_examples(paths[images], paths[labels])
            for split, (images, labels) in mnist_files.SPLITS.items()
        }

    def _generate_examples(self, images: Path, labels: Path) -> Iterator[tuple[int, dict]]:
        # TFDS's keys are these positions too, and its order follows from the keys.
        pairs = zip(mnist_files.read_idx(images), mnist_files.read_idx(labels), strict=True)
        for position, (image, label) in enumerate(pairs):
            # The Image feature encodes arrays with TensorFlow, but Pillow's images with Pillow.
            yield position, {"image": Image.fromarray(image), "label": int(label)}


def official(url: str) -> tuple[int, str]:
    """Returns the size and sha256 that TFDS has registered for a file."""
    info = checksums.get_all_url_infos()[url]
    return int(info.size), info.checksum


def prepare(data_dir: Path, downloading: bool) -> None:
    """Writes `mnist/3.0.1` into the data directory, whole or not at all.

    TFDS writes into a temporary directory and renames it. Where two processes do so at once, the
    second's rename is refused, and what the first put there is taken.

    Raises:
      DataDirError: the directory has no room or cannot be written.
      UnobtainableError: the download failed, or gave other files.
      InputError: anything else that TFDS reports, in one line.
    """
    builder = Mnist(data_dir=data_dir, file_format="array_record")
    config = tfds.download.DownloadConfig(try_download_gcs=False, force_checksums_validation=True)
    retries, downloader.MAX_RETRIES = downloader.MAX_RETRIES, _RETRIES
    try:
        with output.tfds_output(progress=downloading):
            builder.download_and_prepare(download_config=config)
    except Exception as error:
        if (builder.data_path / "dataset_info.json").exists():
            return
        if (refusal := errors.disk_error(error)) is not None:
            raise errors.data_dir_error(data_dir, refusal) from error
        if isinstance(error, download_manager.NonMatchingChecksumError):
            reason = (
                f"the files from {mnist_files.URL} are not the official ones (their checksums "
                "differ)"
            )
            raise mnist_files.UnobtainableError(reason, mnist_files.lay_files(data_dir)) from error
        reason = f"TFDS could not prepare it in {data_dir} ({first_line(error)})"
        if downloading:
            raise mnist_files.UnobtainableError(reason, mnist_files.lay_files(data_dir)) from error
        raise InputError(f"dataset='{mnist_files.NAME}': {reason}") from error
    finally:
        downloader.MAX_RETRIES = retries
