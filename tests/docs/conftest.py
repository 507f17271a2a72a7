"""The site, built once by its one command, and a browser to look at it."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.public import ROOT
from tests.studies.conftest import browser

__all__ = ["browser"]

NEEDED = ("sphinx", "myst_parser", "furo", "latex2mathml")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site. A warning fails the build.

    `JAXOPT_NOTES_SITE` names a site that is built already.
    """
    if built := os.environ.get("JAXOPT_NOTES_SITE"):
        return Path(built)
    missing = [name for name in NEEDED if not find_spec(name)]
    if missing:
        pytest.skip(f"needs {missing[0]}, which is not installed; pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", "docs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder
