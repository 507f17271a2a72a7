"""A file is written whole, or the old one stays."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from jaxopt_notes import files
from jaxopt_notes.files import open_whole, write_json, write_rows, write_text


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError()]
)
def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(type(error)), open_whole(path) as file:  # noqa: PT012
        file.write(b"half of the n")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(PermissionError):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_process_that_is_killed_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    code = (
        "import os, signal, sys, pathlib; from jaxopt_notes.files import open_whole\n"
        "with open_whole(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)])
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_two_writers_at_once_do_not_mix(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    with open_whole(path) as first:
        first.write(b"first")
        first.flush()
        monkeypatch.setattr(files.os, "getpid", lambda: 1)  # as in another process
        write_text(path, "second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert names(tmp_path) == ["a.txt"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "missing" / "a.txt", "new")


def test_json_and_rows_are_read_back_and_letters_stay_readable(tmp_path):
    value = {"name": "犬 ×", "list": [1, None, 0.1]}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
    assert "犬 ×" in (tmp_path / "a.json").read_text(encoding="utf-8")
    rows = [{"epoch": 1, "loss": 0.1}, {"epoch": 2, "loss": float("nan")}]
    write_rows(tmp_path / "a.jsonl", rows)
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == rows[0]
    assert len(lines) == 2
