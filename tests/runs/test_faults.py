"""Faults that come from outside of a run; docs/faults.md lists them all."""

import itertools
import os
import pickle
import shutil
import signal
import time
from pathlib import Path

import jax
import pytest

from jaxopt_notes.runs import folder, recorder, report
from jaxopt_notes.training import epochs
from tests.run_files import rows
from tests.slow_cases import slow_but

VERSION = jax.__version__
pytestmark = pytest.mark.usefixtures("no_pictures")


def after_the_first_stretch(monkeypatch, act):
    add, stretches = recorder.Recorder.add, []

    def patched(self, progress, row):
        stretches.append(progress.step)
        if len(stretches) == 1:
            act()
        add(self, progress, row)

    monkeypatch.setattr(recorder.Recorder, "add", patched)


@pytest.mark.slow
def test_the_folder_is_removed_while_the_run_goes_on(small, monkeypatch, capsys):
    after_the_first_stretch(monkeypatch, lambda: shutil.rmtree("run"))
    assert small() == 1
    error = capsys.readouterr().err
    assert "error: run: metrics.jsonl could not be written (No such file or directory)" in error
    assert "Traceback" not in error


def test_the_folder_is_gone_and_nothing_makes_it_again(small, monkeypatch, capsys):
    after_the_first_stretch(monkeypatch, lambda: shutil.rmtree("run"))
    assert small("--checkpoint-every", "off") == 1
    error = capsys.readouterr().err
    assert "error: run: scores and pictures could not be written (No such file" in error


def test_the_clock_jumps_back(small, monkeypatch):
    real = time.time
    jumps = itertools.count()
    monkeypatch.setattr(time, "time", lambda: real() - 3600 * next(jumps))
    assert small("--epochs", "2", "--checkpoint-every", "1s", "--quiet") == 0
    seconds = [row["seconds"] for row in rows(Path("run"))]
    assert 0 < seconds[0] < seconds[1] < 60


def test_the_device_has_not_enough_memory(small, monkeypatch, capsys):
    def exhausted(*_, **__):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 TB.")

    monkeypatch.setattr(epochs, "trace_stretch", lambda *_: exhausted)
    assert small() == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --batch-size 64: ")
    assert "memory" in error
    assert error.count("\n") == 1


def test_another_fault_of_the_device_is_not_taken_for_that(small, monkeypatch):
    def broken(*_, **__):
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    monkeypatch.setattr(epochs, "trace_stretch", lambda *_: broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
        small()


def test_a_second_signal_ends_the_run_at_once(small, monkeypatch, capsys):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    after_the_first_stretch(monkeypatch, twice)
    assert small("--epochs", "100") == 130
    assert capsys.readouterr().err == "stopped\n"
    assert not Path("run/metrics.json").exists()


@pytest.mark.slow
def test_a_checkpoint_of_other_versions_is_read_and_that_is_told(small, monkeypatch, capsys):
    assert small("--quiet") == 0
    monkeypatch.setattr(report.jax, "__version__", "99.0")
    assert small("--resume", "run", "--epochs", "2") == 0
    expected = f"the last digits may differ from an uninterrupted run's: jax {VERSION} → 99.0\n"
    assert expected in capsys.readouterr().out


class Hostile:
    """Unpickling it makes a file."""

    def __reduce__(self):
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize(
    "where", slow_but(["config.json"], ["config.json", "checkpoints/8/position/metadata"])
)
def test_nothing_that_is_read_is_executed(small, where):
    assert small("--quiet") == 0
    Path("run", where).write_bytes(pickle.dumps(Hostile()))
    small("--resume", "run", "--epochs", "2", "--quiet")
    assert not Path("executed").exists()
    pickle.loads(pickle.dumps(Hostile()))  # the payload would have worked
    assert Path("executed").exists()


@pytest.mark.parametrize("name", ["../../etc", "/etc/x", "a/../../b", ".."])
def test_a_data_sets_name_does_not_lead_out_of_the_runs_folder(name):
    assert (Path("runs") / folder.default_name(name, "adam")).parent == Path("runs")


def test_a_link_to_a_folder_is_followed_and_one_to_nowhere_refused(small, capsys):
    Path("real").mkdir()
    Path("link").symlink_to("real")
    assert small("--out", "link", "--quiet") == 0
    assert Path("real/config.json").exists()
    Path("loop").symlink_to("loop")
    assert small("--out", "loop/run") == 2
    assert "--out loop/run: cannot be written" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused_before_anything_is_done(small, capsys):
    Path("locked").mkdir(mode=0o500)
    assert small("--out", "locked/run") == 2
    assert "--out locked/run: cannot be written" in capsys.readouterr().err


def test_a_compilation_cache_that_cannot_be_written_costs_only_time(small, tmp_path):
    Path("file").write_text("")
    assert small("--compilation-cache", "file/cache", "--quiet") == 0
    assert len(rows(Path("run"))) == 1
