"""A run that was broken off and resumed gives, digit for digit, what an unbroken one gives."""

import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxopt_notes import train
from jaxopt_notes.inference.trained import load_trained
from jaxopt_notes.runs import recorder
from jaxopt_notes.training import setup
from jaxopt_notes.training.schedules import schedule
from tests.run_files import SMALL, rows, without_seconds
from tests.slow_cases import slow_but

# Whatever a state may hold: batch statistics, dropout's key, an average, a switch of optimizers.
SETTINGS = {
    "adam": "",
    "everything": "--norm batch --dropout 0.2 --ema 0.9 --clip-norm 1 --optimizer adam-to-sgd",
    "no-state": "--optimizer sgd --schedule constant",
    "convolutions": "--model cnn --pooling average --epochs 3",  # steps one by one, on a CPU
}
STEPS = 8  # an epoch
pytestmark = pytest.mark.usefixtures("no_pictures")


@contextlib.contextmanager
def a_signal_at(step, number=signal.SIGTERM):
    """Sends a signal as soon as the run has taken this many steps."""
    add = recorder.Recorder.add

    def patched(self, progress, row):
        if progress.step == step:
            os.kill(os.getpid(), number)
        add(self, progress, row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder.Recorder, "add", patched)
        yield


def weights(folder, which="last"):
    return jax.tree.leaves(load_trained(str(folder), which).weights.params)


def assert_same_runs(folder, other):
    actual, expected = (without_seconds(rows(Path(name))) for name in (folder, other))
    assert actual == expected
    for actual_weights, expected_weights in zip(weights(folder), weights(other), strict=True):
        np.testing.assert_array_equal(actual_weights, expected_weights)


@pytest.fixture(scope="module")
def runs(digits, tmp_path_factory):
    """`whole`, an unbroken run of three epochs, and `run`, ended by SIGTERM in its second."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "load", lambda *_: digits)
        patch.setitem(sys.modules, "matplotlib.figure", None)
        patch.chdir(folder)
        args = ["--epochs", "3", "--quiet", *SMALL.split()]
        assert train.main([*args, "--out", "whole"]) == 0
        with a_signal_at(STEPS + 3):
            assert train.main([*args, "--out", "run"]) == 143
    return folder


@pytest.fixture
def whole(small, runs):
    shutil.copytree(runs / "whole", "whole")
    return Path("whole")


@pytest.fixture
def broken(small, runs):
    shutil.copytree(runs / "run", "run")
    return Path("run")


@pytest.mark.usefixtures("compiled_by_default")
@pytest.mark.parametrize(
    ("settings", "step"),
    [
        ("no-state", 3),
        pytest.param("everything", 3, marks=pytest.mark.slow),
        pytest.param("adam", 3, marks=pytest.mark.slow),
        pytest.param("adam", 2 * STEPS, marks=pytest.mark.slow),
        pytest.param("everything", 2 * STEPS, marks=pytest.mark.slow),
        pytest.param("convolutions", 2 * STEPS, marks=pytest.mark.slow),
        pytest.param("convolutions", STEPS + 3, marks=pytest.mark.slow),
    ],
)
def test_a_run_goes_on_to_the_digit(small, ran, settings, step):
    args = f"--epochs 3 --quiet {SETTINGS[settings]}"
    whole = ran(base=args)
    with a_signal_at(step):
        assert small(*args.split()) == 143
    if step >= STEPS:
        assert len(rows(Path("run"))) == step // STEPS
    assert small("--resume", "run", "--quiet") == 0
    assert_same_runs("run", whole.folder)


def test_a_run_of_an_earlier_version_goes_on_to_the_digit(small, whole, broken):
    """Its config.json has null where the schedule chose the warm-up."""
    described = json.loads((broken / "config.json").read_text())
    was = {"model": "mlp", "pooling": None, "widths": [8], "hyperparameters": {}}
    was |= {"learning_rate": 0.003, "schedule": "one-cycle", "warmup": None, "switch_at": None}
    was |= {"epochs": 3, "image_size": None, "checkpoint_every": None, "mesh": None}
    assert described["config"] == described["config"] | was | {"warmup": 0.25}
    described["config"] |= was
    (broken / "config.json").write_text(json.dumps(described))
    assert small("--resume", "run", "--quiet") == 0
    assert_same_runs("run", whole)


def test_both_signals_end_a_run_as_a_shell_expects(small, capsys):
    for number, code, word in ((signal.SIGINT, 130, "stopped"), (signal.SIGTERM, 143, "terminat")):
        with a_signal_at(2, number):
            assert small("--out", word) == code
        assert word in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_it_says_where_it_goes_on_and_counts_all_seconds(small, broken, capsys, monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)  # the resumed run takes no time
    assert small("--resume", "run") == 0
    assert "resumed after step 11, in epoch 2" in capsys.readouterr().out
    first, second, third = (row["seconds"] for row in rows(broken))
    assert 0 < first <= second == third


@pytest.mark.parametrize(
    "damage",
    [
        "flip",
        *(pytest.param(how, marks=pytest.mark.slow) for how in ("truncate", "remove", "empty")),
    ],
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    small, whole, broken, capsys, damage
):
    newest = broken / "checkpoints" / "11"
    files = [f for f in newest.rglob("*") if f.is_file() and f.stat().st_size > 2000]
    assert files
    for file in files:
        content = bytearray(file.read_bytes())
        if damage == "truncate":
            file.write_bytes(content[: len(content) // 2])
        elif damage == "flip":
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
        elif damage == "remove":
            file.unlink()
        else:
            file.write_bytes(b"")
    assert small("--resume", "run") == 0
    printed = capsys.readouterr().out
    assert "the checkpoint of step 11 is damaged and skipped" in printed
    assert "resumed after step 8" in printed
    assert_same_runs("run", whole)
    assert [p.name.split("-")[0] for p in (broken / "damaged").iterdir()] == ["11"]  # not deleted


@pytest.mark.parametrize(
    "part", slow_but(["key"], ["key", "epoch", "in_epoch", "step", "seconds", "sums", "rows"])
)
def test_one_wrong_digit_beside_the_weights_is_noticed(small, whole, broken, capsys, part):
    file = broken / "checkpoints" / "11" / "position" / "metadata"
    content = bytearray(file.read_bytes())
    content[re.search(rf'"{part}"[^0-9]*[0-9]+'.encode(), content).end() - 1] ^= 1
    assert json.loads(content)
    file.write_bytes(content)
    assert small("--resume", "run") == 0
    printed = capsys.readouterr().out
    assert "the checkpoint of step 11 is damaged and skipped (its checksum" in printed
    assert_same_runs("run", whole)


def test_without_a_whole_checkpoint_it_begins_anew(small, whole, broken, capsys):
    shutil.rmtree(broken / "checkpoints")
    assert small("--resume", "run") == 0
    assert "no checkpoint yet; training from the first step" in capsys.readouterr().out
    assert_same_runs("run", whole)


def test_half_a_line_of_metrics_and_lines_of_lost_steps_are_gone(small, whole, broken):
    with open(broken / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 2, "step": 16}\n{"epoch": 3, "st')
    assert small("--resume", "run", "--quiet") == 0
    assert_same_runs("run", whole)


def test_more_epochs_may_be_asked_for_and_a_done_run_says_so(small, whole, capsys):
    assert small("--resume", "whole") == 0
    expected = "whole: this run has finished its 3 epochs; pass a larger --epochs to train on\n"
    assert capsys.readouterr().out == expected
    assert small("--resume", "whole", "--quiet", "--epochs", "4") == 0
    assert [row["step"] for row in rows(whole)] == [8, 16, 24, 32]


@pytest.mark.parametrize("epochs", slow_but([2], [2, 3, 5]))
def test_other_epochs_stretch_the_schedule_and_the_learning_rates_are_told(
    small, broken, capsys, epochs
):
    capsys.readouterr()
    assert small("--resume", "run", "--epochs", str(epochs)) == 0
    before, now = (float(schedule("one-cycle", 0.003, STEPS * n)(11)) for n in (3, epochs))
    verb = "shortened" if epochs < 3 else "stretched"
    line = (
        f"the one-cycle schedule is {verb} from 3 to {epochs} epochs: the learning rate at the "
        f"next step changes from {before:.3g} to {now:.3g}\n"
    )
    assert (line in capsys.readouterr().out) == (epochs != 3)
    assert len(rows(broken)) == epochs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--seed", "1"], ["--seed 1", "0", "--override"]),
        (["--optimizer", "sgd"], ["--optimizer sgd", "adam", "--override"]),
        (["--b1", "0.5"], ["--b1 0.5", "the optimizer's default", "--override"]),
        (["--batch-size", "32"], ["--batch-size 32", "64", "--override"]),
        (["--model", "cnn"], ["--model cnn", "mlp", "new run"]),
        (["--norm", "batch", "--override"], ["--norm batch", "none", "new run"]),
        (["--out", "elsewhere"], ["--out elsewhere", "leave it out"]),
    ],
)
def test_a_change_that_matters_is_refused_by_name(small, broken, capsys, change, words):
    capsys.readouterr()
    assert small("--resume", "run", *change) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for word in words:
        assert word in error


@pytest.mark.parametrize(
    "change",
    [
        ["--optimizer", "sgd", "--momentum", "0.9"],
        pytest.param(["--batch-size", "32"], marks=pytest.mark.slow),
        pytest.param(["--seed", "1"], marks=pytest.mark.slow),
    ],
)
def test_override_goes_on_with_the_weights_under_other_settings(small, broken, capsys, change):
    assert small("--resume", "run", "--override", *change) == 0
    config = json.loads((broken / "config.json").read_text())["config"]
    assert str(config[change[0][2:].replace("-", "_")]) == change[1]
    history = rows(broken)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert ("new optimizer" in capsys.readouterr().out) == (change[0] == "--optimizer")
    assert history[-1]["test_loss"] < history[0]["test_loss"]


def test_other_data_is_refused(small, broken, digits, monkeypatch, capsys):
    other = digits._replace(train_labels=digits.train_labels[::-1])
    monkeypatch.setattr(setup, "load", lambda *_: other)
    assert small("--resume", "run") == 2
    assert "have changed since this run began" in capsys.readouterr().err


def test_pictures_that_are_turned_now_are_named_as_the_cause(
    small, broken, digits, monkeypatch, capsys
):
    note = "pictures turned upright by their EXIF orientation: 300"
    turned = digits._replace(train_images=digits.train_images[:, ::-1], note=note)
    monkeypatch.setattr(setup, "load", lambda *_: turned)
    assert small("--resume", "run") == 2
    error = capsys.readouterr().err
    assert "turned upright by their EXIF orientation, which they were not" in error
    assert "start a new run, or add --override" in error
    flat = turned._replace(
        train_images=digits.train_images[:, 2:], test_images=digits.test_images[:, 2:]
    )
    monkeypatch.setattr(setup, "load", lambda *_: flat)
    assert small("--resume", "run") == 2
    assert "turned upright by their EXIF orientation and so 26×28×1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "holds no run"),
        ("{", "does not describe a run"),
        ("[]", "does not describe a run"),
        ('{"config": {"widths": null, "exec": "1"}}', "does not describe a run"),
    ],
)
def test_a_folder_without_a_run_is_refused(small, tmp_path, capsys, content, word):
    (tmp_path / "no").mkdir()
    if content is not None:
        (tmp_path / "no" / "config.json").write_text(content)
    assert small("--resume", "no") == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


def test_two_processes_do_not_run_in_one_folder(small, broken, capsys):
    fcntl = pytest.importorskip("fcntl", reason="this system has no file locks")
    with open(broken / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert small("--resume", "run") == 2
    assert "another process is training in it" in capsys.readouterr().err
    assert small("--resume", "run", "--quiet") == 0


@pytest.mark.slow
def test_the_newest_and_the_best_are_kept(small, capsys):
    assert small("--epochs", "6", "--keep", "1", "--learning-rate", "0.05") == 0
    steps = {int(p.name) for p in Path("run/checkpoints").iterdir() if p.name.isdigit()}
    history = rows(Path("run"))
    best = max(history, key=lambda row: (row["test_accuracy"], row["step"]))
    assert steps == {48, best["step"]}
    assert load_trained("run").weights.step == best["step"]
    best_line = f"best: {best['test_accuracy']:.2%} after epoch {best['epoch']}"
    assert (best_line in capsys.readouterr().out) == (best["step"] != 48)


@pytest.mark.slow
def test_checkpoints_within_an_epoch_and_none_at_all(small):
    with a_signal_at(7):
        assert small("--checkpoint-every", "5", "--keep", "9", "--quiet") == 143
    assert {p.name for p in Path("run/checkpoints").iterdir()} >= {"5", "7"}
    assert small("--checkpoint-every", "off", "--out", "none", "--quiet") == 0
    assert not Path("none/checkpoints").exists()
