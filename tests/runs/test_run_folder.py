"""The folder of a run: its own, wherever and however it is named."""

import errno
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

from jaxopt_notes import compare, files, predict, train
from jaxopt_notes.data import folder as pictures
from jaxopt_notes.data import load
from jaxopt_notes.errors import InputError
from jaxopt_notes.inference import trained
from jaxopt_notes.runs import folder, info
from tests.run_files import SMALL, described, rows

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_each_run_of_a_sweep_gets_its_own_default_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = []
    start = threading.Barrier(8)

    def begin():
        start.wait()
        made.append(folder.create_default("mnist-12k", "adam"))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    monkeypatch.setattr(time, "strftime", lambda _: "20200101-000000")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    name = "runs/mnist-12k-adam-20200101-000000"
    assert {str(path) for path in made} == {name, *(f"{name}-{n}" for n in range(2, 9))}
    assert all(path.is_dir() for path in made)


@pytest.mark.slow
def test_runs_of_the_same_second_are_trained_and_told_apart(small, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(time, "strftime", lambda _: "20200101-000000")
    options = ["--epochs", "1", *SMALL.split(), "--quiet"]
    assert [train.main(options) for _ in range(2)] == [0, 0]
    assert len(list(tmp_path.glob("runs/*/config.json"))) == 2


@pytest.mark.parametrize("dataset", ["a:b/c\\d", "x" * 255, "é" * 255, "a\nb", "", "-", "%s{}"])
def test_a_default_name_is_one_that_any_system_takes(dataset):
    name = folder.default_name(dataset, "adam-to-sgd")
    assert len(os.fsencode(name)) < 200
    assert not set(name) & set('<>:"/\\|?*\n ')


# Normal forms of é, controls, what Windows minds, what a shell minds, what a format would fill in.
NAMES = [
    "é",
    "e\u0301",
    "中文",
    "a\nb",
    "-x",
    "dot.",
    "space ",
    "CON",
    "a:b",
    "%s{}",
    "$HOME",
    "*?",
]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("/".join(NAMES), id="odd"),
        pytest.param("n" * 255, id="long", marks=pytest.mark.slow),
    ],
)
def test_odd_names_work(small, name):
    assert small(f"--out={name}", "--quiet") == 0
    assert described(Path(name))["config"]["out"] == os.path.abspath(name)
    assert train.main([f"--resume={name}", "--epochs", "2", "--quiet"]) == 0
    assert len(rows(Path(name))) == 2
    assert list(Path(name, "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a\udcff", "not UTF-8"),
        ("n" * 256, "File name too long"),
        ("/".join(["n" * 100] * 50), "bytes"),
        ("/".join(["n" * 100] * 38), "bytes"),
        ("file", "it is a file"),
        ("file/run", "Not a directory"),
        ("loop", "cannot be written"),
    ],
)
def test_impossible_names_are_refused_before_the_training(small, tmp_path, capsys, name, words):
    Path("file").write_text("")
    Path("loop").symlink_to("loop")
    assert small("--out", name) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --out {name[:1]}")
    assert words in error
    assert error.count("\n") == 1
    assert sorted(os.listdir()) == ["file", "loop"]
    assert small("--resume", name) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_in_the_place_of_runs_is_named(small, tmp_path, capsys):
    Path("runs").write_text("")
    assert train.main(["--epochs", "1", "--model", "mlp"]) == 2
    assert "--out runs: cannot be written (it is a file)" in capsys.readouterr().err


def test_a_disk_that_is_full_from_the_start_is_told_before_the_training(small, monkeypatch, capsys):
    def full(path, value):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "write_json", full)
    assert small() == 2
    error = capsys.readouterr().err
    assert error == (
        "error: --out run: cannot be written (No space left on device); pass another folder\n"
    )


def test_a_run_that_another_made_in_the_meantime_is_not_overwritten(small, monkeypatch, capsys):
    create = folder.create

    def late(path, resumed=False):
        made = create(path, resumed)
        (made / "config.json").write_text("another's")
        return made

    monkeypatch.setattr(folder, "create", late)
    assert small() == 2
    assert "already holds a run" in capsys.readouterr().err
    assert Path("run/config.json").read_text() == "another's"


@pytest.mark.slow
def test_one_folder_by_two_paths_is_one_folder(small, capsys):
    fcntl = pytest.importorskip("fcntl", reason="this system has no file locks")
    Path("real").mkdir()
    Path("link").symlink_to("real")
    with open("real/.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert small("--out", "link") == 2
    assert "another process is training in it" in capsys.readouterr().err
    assert small("--out", "real", "--quiet") == 0
    assert small("--resume", "link", "--out", "real", "--epochs", "2", "--quiet") == 0


def test_settings_of_another_version_are_one_line_that_names_them(tmp_path):
    written = {"jaxopt_notes": "99.0", "config": {"epochs": 1, "galore_rank": 4}, "data": {}}
    for change, words in (
        ({}, "galore_rank: is not a setting; jaxopt_notes 99.0 wrote it, this is "),
        ({"config": {"epochs": 1, "batch_size": 0}}, "--batch-size 0: is out of range"),
        ({"config": {"epochs": 1, "out": "gs://b/x"}, "data": {"image_shape": 1}}, "class_names"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(written | change))
        with pytest.raises(InputError, match=r"^--resume ") as caught:
            info.read(str(tmp_path))
        assert words in str(caught.value)
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="does not describe a run"):
        info.read(str(tmp_path))


def test_a_name_that_is_not_utf_8_survives_a_json_file(tmp_path):
    files.write_json(tmp_path / "a.json", {"out": "a\udcffb", "zh": "中"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["out"] == "a\udcffb"
    assert "中".encode() in (tmp_path / "a.json").read_bytes()


@pytest.fixture
def another_user():
    """A folder for any user; the rest of the test is not run by root, who may read everything."""
    # Imported now: others may not read where Python is installed.
    assert trained.load_trained
    assert pictures.load
    assert load("mnist-12k")
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o777)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(path)
        finally:
            for each in Path(path).iterdir():
                each.chmod(0o700)
            if root:
                os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no users of that kind")
def test_a_home_that_cannot_be_read_leaves_the_embedded_digits(another_user, monkeypatch):
    (another_user / "home/tensorflow_datasets").mkdir(parents=True)
    (another_user / "home").chmod(0)
    monkeypatch.setenv("HOME", str(another_user / "home"))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    data = load("auto")
    assert data.name == "mnist-12k"
    assert "cannot be used (Permission denied)" in data.note


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no users of that kind")
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o500, 0o200], ids=oct)
def test_a_folder_without_permission_is_one_line(another_user, mode, capsys):
    closed = another_user / "closed"
    closed.mkdir()
    (closed / "config.json").write_text("{}")
    (closed / "cat").mkdir()
    closed.chmod(mode)
    readable = mode == 0o500
    for main, argv, option in (
        (train.main, ["--resume", closed], "--resume"),
        (predict.main, ["--run", closed, "x.png"], "--run"),
        (compare.main, [closed], "RUN"),
        (train.main, ["--out", closed / "run", "--model", "mlp"], "--out"),
        (train.main, ["--dataset", closed], "dataset="),
        (train.main, ["--dataset", "cifar10", "--data-dir", closed / "sets"], ""),
    ):
        assert main([str(each) for each in argv]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {option}")
        assert str(closed) in error
        assert error.count("\n") == 1
        assert readable or option in ("--out", "dataset=", "") or "Permission denied" in error


@pytest.mark.parametrize("name", ["metrics.jsonl", "metrics.json", "checkpoints"])
def test_what_a_run_would_overwrite_is_refused(small, capsys, name):
    Path("run").mkdir()
    Path("run", name).write_text("mine")
    assert small() == 2
    assert f"--out run: already holds {name}, which a run would" in capsys.readouterr().err
    assert Path("run", name).read_text() == "mine"
    assert os.listdir("run") == [name]


def test_a_file_for_a_folder_in_a_run_is_named_before_it_goes_on(small, capsys):
    assert small("--checkpoint-every", "off", "--quiet") == 0
    Path("run/checkpoints").write_text("")
    assert small("--resume", "run", "--epochs", "2") == 2
    assert "--resume run: its checkpoints is not a folder; move" in capsys.readouterr().err
    Path("run/checkpoints").unlink()
    Path("run/metrics.jsonl").unlink()
    Path("run/metrics.jsonl").mkdir()
    assert small("--resume", "run", "--epochs", "2") == 2
    assert "--resume run: its metrics.jsonl is not a file; move" in capsys.readouterr().err


def test_a_compilation_cache_that_is_not_utf_8_is_none(small):
    assert small("--compilation-cache", "c\udcff", "--quiet") == 0
    assert not Path("c\udcff").exists()
