"""The command on a few digits."""

import sys

import pytest

from jaxopt_notes import train
from jaxopt_notes.training import run


@pytest.fixture
def no_pictures(monkeypatch):
    """As where matplotlib is not installed: drawing would take most of the time."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


@pytest.fixture
def small(monkeypatch, digits, tmp_path):
    """main(…) writes to tmp_path / 'run', unless it is to resume."""
    monkeypatch.setattr(run, "load", lambda *_: digits)
    monkeypatch.chdir(tmp_path)

    def main(*args):
        if "--resume" in args:
            return train.main(args)
        return train.main(["--out", "run", "--epochs", "1", "--model", "mlp", *args])

    return main
