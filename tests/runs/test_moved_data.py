"""Pictures that were moved after a run began, and working directories that changed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxopt_notes import compare, predict, train
from tests.run_files import SMALL, described, rows

OPTIONS = [*SMALL.split(), "--batch-size", "4", "--epochs", "1", "--quiet"]


@pytest.fixture
def untrained(tmp_path, monkeypatch, no_pictures):
    """A folder of pictures in the current folder."""
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        folder = tmp_path / "home/pets" / kind
        folder.mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home/pets"


@pytest.fixture
def pets(untrained):
    """The folder of pictures; a run was trained on it with a relative `--dataset`."""
    assert train.main(["--dataset", "pets", "--out", "run", *OPTIONS]) == 0
    return untrained


@pytest.mark.slow
def test_a_run_finds_its_pictures_from_anywhere(pets, tmp_path, monkeypatch, capsys):
    run = str(tmp_path / "home/run")
    assert described(Path(run))["config"]["dataset"] == str(pets)
    monkeypatch.chdir(tmp_path)
    assert predict.main(["--run", run, "--split", "test"]) == 0
    assert train.main(["--resume", run, "--epochs", "2", "--quiet"]) == 0
    assert len(rows(Path(run))) == 2

    # Moved pictures are reported before anything else happens; with the new path the run goes on.
    moved = str(tmp_path / "moved")
    shutil.move(pets, moved)
    capsys.readouterr()
    for main, argv in (
        (predict.main, ["--run", run, "--split", "test"]),
        (train.main, ["--resume", run, "--epochs", "3"]),
    ):
        assert main(argv) == 2
        error = capsys.readouterr().err
        assert f"are not in {pets}; pass --dataset with the folder" in error
        assert error.count("\n") == 1
    assert predict.main(["--run", run, "--split", "test", "--dataset", "moved"]) == 0
    assert train.main(["--resume", run, "--epochs", "3", "--dataset", "moved", "--quiet"]) == 0
    assert described(Path(run))["config"]["dataset"] == moved
    assert len(rows(Path(run))) == 3

    # Under the new name, `compare` sees the same data.
    again = ["--dataset", "moved", "--out", "again", *OPTIONS]
    shutil.copytree(moved, "copy")
    again[1] = "copy"
    assert train.main(again) == 0
    capsys.readouterr()
    assert compare.main([run, "again", "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    assert "dataset" not in comparison["runs"][0]["settings"]
    assert not any("data sets differ" in note for note in comparison["notes"])

    # Other pictures are refused under any name, and allowed by --override in resuming.
    first = Path("copy/cat/0.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(first)
    assert predict.main(["--run", run, "--split", "test", "--dataset", "copy"]) == 2
    assert "--dataset copy: its images or labels are not those that" in capsys.readouterr().err
    resumed = ["--resume", run, "--epochs", "4", "--dataset", "copy", "--quiet"]
    assert train.main(resumed) == 2
    assert "its images or labels are not this run's; pass the data" in capsys.readouterr().err
    assert train.main([*resumed, "--override"]) == 0


def test_where_a_data_set_is_is_for_the_test_set_only(capsys):
    for option in ("--dataset", "--data-dir"):
        assert predict.main(["--run", "run", "x.png", option, "pets"]) == 2
        assert f"{option} pets: only with --split test" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["pets/run", "link/run", "pets"])
def test_a_run_within_its_pictures_is_refused(untrained, out, capsys):
    before = sorted(untrained.rglob("*"))
    Path("link").symlink_to(untrained)
    assert train.main(["--dataset", "pets", "--out", out, *OPTIONS]) == 2
    error = capsys.readouterr().err
    assert f"--out {out}: is inside the data set's folder" in error
    assert sorted(untrained.rglob("*")) == before


def test_the_default_folder_within_the_pictures_is_refused(untrained, monkeypatch, capsys):
    monkeypatch.chdir(untrained)
    assert train.main(["--dataset", ".", *OPTIONS]) == 2
    assert "--out runs: is inside the data set's folder" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_picture_that_vanishes_while_it_is_read_is_named(untrained, monkeypatch, capsys):
    from jaxopt_notes.data import image_files

    header = image_files.header

    def vanish(path, *more):
        image_header = header(path, *more)
        (untrained / "dog/9.png").unlink(missing_ok=True)
        return image_header

    monkeypatch.setattr(image_files, "header", vanish)
    assert train.main(["--dataset", "pets", "--out", "other", *OPTIONS]) == 2
    error = capsys.readouterr().err
    assert "dog/9.png' does not exist; check its name" in error
    assert error.count("\n") == 1
