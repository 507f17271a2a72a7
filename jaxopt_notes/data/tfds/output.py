"""Keeps TFDS from talking where nothing is being waited for."""

import contextlib
import io
import logging
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def tfds_output(progress: bool) -> Iterator[None]:
    """Within it TFDS writes nothing to stdout, and shows progress bars on stderr only if asked.

    Its log, which advises to install OpenCV, is held to errors.
    """
    from tensorflow_datasets.core.utils import tqdm_utils

    # TFDS prints; what our commands print to stdout may be read by a program.
    stdout = sys.stderr if progress else io.StringIO()
    active = tqdm_utils._active  # there is no public way to ask
    log = logging.getLogger("absl")
    level = log.level
    tqdm_utils.display_progress_bar(active and progress)
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(stdout):
            yield
    finally:
        log.setLevel(level)
        tqdm_utils.display_progress_bar(active)
