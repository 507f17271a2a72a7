"""Several processes train one network by the command: stopped, lost, and resumed elsewhere."""

import re
import signal
import socket
import subprocess
import time

import pytest

from tests.run_files import TRAIN, rows
from tests.virtual_devices import COMPILE_SOON, environment

SETTINGS = ("--dataset", "mnist-12k", "--model", "mlp", "--norm", "batch", "--schedule", "constant")


def together(*args, each=((), ())):
    """Starts the command as two processes; each also has options of its own."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        place = ["--coordinator", f"127.0.0.1:{held.getsockname()[1]}", "--processes", 2]
    return [
        subprocess.Popen(
            [*TRAIN, *map(str, (*args, *own, *place)), "--process-id", str(index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(1, COMPILE_SOON),
        )
        for index, own in enumerate(each)
    ]


def finished(started, timeout=300):
    """Each process's exit code, output and errors."""
    printed = [process.communicate(timeout=timeout) for process in started]
    return [(process.returncode, *texts) for process, texts in zip(started, printed, strict=True)]


def alone(*args, devices=1):
    done = subprocess.run(
        [*TRAIN, *map(str, args)],
        capture_output=True,
        text=True,
        env=environment(devices, COMPILE_SOON),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def checkpoints(run):
    """The steps of the whole checkpoints; the folder of an unfinished one has another name."""
    return [int(path.name) for path in (run / "checkpoints").glob("*") if path.name.isdecimal()]


@pytest.fixture
def running(tmp_path):
    """Two processes in the middle of a long run, and its folder; ended after the test."""
    run = tmp_path / "run"
    started = together(*SETTINGS, "--epochs", 10_000, "--out", run)
    deadline = time.monotonic() + 300
    while not checkpoints(run) and time.monotonic() < deadline:
        assert all(process.poll() is None for process in started), finished(started)
        time.sleep(0.1)
    yield started, run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_dies_the_other_says_so_and_ends_and_the_run_resumes(running, victim):
    started, run = running
    started[victim].kill()
    code, _, errors = finished(started, timeout=120)[1 - victim]
    assert code == 1
    assert errors.strip().splitlines()[-1].startswith("error: ")
    assert errors.strip().endswith("start all of them again with --resume")
    done = len(rows(run))
    again = finished(together("--resume", run, "--epochs", done + 1))
    assert [code for code, *_ in again] == [0, 0], again
    assert "resumed after step" in again[0][1]
    assert [row["epoch"] for row in rows(run)] == list(range(1, done + 2))


@pytest.mark.slow
def test_a_signal_to_one_ends_all_with_its_code_and_keeps_the_run(running):
    started, run = running
    started[1].send_signal(signal.SIGTERM)
    ended = finished(started, timeout=120)
    assert [code for code, *_ in ended] == [143, 143], ended
    (_, first, errors), (_, second, silent) = ended
    assert "2 devices of 2 processes share each batch" in first
    assert errors.strip().endswith("terminated")
    assert "epoch" not in second
    assert "terminated" not in silent
    assert max(checkpoints(run)) >= rows(run)[-1]["step"]


@pytest.mark.slow
def test_a_run_goes_on_with_other_devices_to_the_same_numbers(tmp_path):
    """8 devices with cut state → 2 processes → 1 device, beside one device all the way."""
    moved, stayed = tmp_path / "moved", tmp_path / "stayed"
    settings = [*SETTINGS, "--batch-size", "400", "--optimizer", "momentum"]
    settings += ["--learning-rate", "0.02"]
    alone(*settings, "--epochs", 3, "--out", stayed)
    first = alone(*settings, "--epochs", 1, "--out", moved, "--shard-optimizer-state", devices=8)
    pattern = r"8 devices share each batch; optimizer state: (.*) MB on each instead of (.*)\n"
    cut, whole = map(float, re.search(pattern, first).groups())
    assert cut == pytest.approx(whole / 8, abs=0.01)
    again = finished(together("--resume", moved, "--epochs", 2))
    assert [code for code, *_ in again] == [0, 0], again
    alone("--resume", moved, "--epochs", 3)
    for moved_row, stayed_row in zip(rows(moved), rows(stayed), strict=True):
        assert moved_row["train_loss"] == pytest.approx(stayed_row["train_loss"], rel=1e-3)
        assert moved_row["test_accuracy"] == pytest.approx(stayed_row["test_accuracy"], abs=0.005)


@pytest.mark.slow
def test_other_settings_in_one_process_are_refused(tmp_path):
    run = tmp_path / "run"
    ended = finished(together(*SETTINGS, "--out", run, each=(("--seed", 1), ("--seed", 2))))
    assert [code for code, *_ in ended] == [2, 2], ended
    for _, printed, errors in ended:
        assert "its settings or data differ from another process's" in errors
        assert "epoch" not in printed
    assert not run.exists()


@pytest.mark.slow
def test_a_batch_that_the_devices_do_not_divide_is_one_line_and_code_2(tmp_path):
    done = subprocess.run(
        [*TRAIN, *SETTINGS, "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env=environment(6),
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: --batch-size 64: is not a multiple of the 6 devices; pass 66, or --mesh data=4\n"
    )
    assert not (tmp_path / "run").exists()
