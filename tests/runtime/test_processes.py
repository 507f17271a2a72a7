"""Several processes train one network by the command: stopped, lost, and resumed elsewhere."""

import re
import signal
import socket
import subprocess
import time

import pytest

from jaxopt_notes import train
from tests.run_files import TRAIN, rows
from tests.virtual_devices import COMPILE_SOON, environment

SETTINGS = ("--dataset", "mnist-12k", "--model", "mlp", "--norm", "batch", "--schedule", "constant")
SMALLER = (*SETTINGS, "--widths", "8", "--shift", "0", "--batch-size", "1000")


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


def checkpoints(run):
    """The steps of the whole checkpoints; the folder of an unfinished one has another name."""
    return [int(path.name) for path in (run / "checkpoints").glob("*") if path.name.isdecimal()]


@pytest.fixture
def endless(tmp_path):
    """endless(options) starts two processes and waits until they write a new checkpoint."""
    everyone = []

    def start(*options):
        before, deadline = checkpoints(tmp_path / "run"), time.monotonic() + 300
        started = together(*options)
        everyone.extend(started)
        while not set(checkpoints(tmp_path / "run")) - set(before):
            assert all(process.poll() is None for process in started), finished(started)
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return started

    yield start
    for process in everyone:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_run_outlives_each_of_its_processes_and_ends_whole_by_a_signal_to_one(endless, tmp_path):
    """One process dies, the run is resumed, the other one dies, the run is resumed and stopped."""
    run = tmp_path / "run"
    started = endless(*SMALLER, "--epochs", 10_000, "--out", run)
    for victim in (0, 1):
        started[victim].kill()
        code, _, errors = finished(started, timeout=120)[1 - victim]
        assert code == 1
        assert errors.strip().splitlines()[-1].startswith("error: ")
        assert errors.strip().endswith("start all of them again with --resume")
        started = endless("--resume", run)
    started[1].send_signal(signal.SIGTERM)
    ended = finished(started, timeout=120)
    assert [code for code, *_ in ended] == [143, 143], ended
    (_, first, errors), (_, second, silent) = ended
    assert "2 devices of 2 processes share each batch" in first
    assert "resumed after step" in first
    assert errors.strip().endswith("terminated")
    assert "epoch" not in second
    assert "terminated" not in silent
    assert [row["epoch"] for row in rows(run)] == list(range(1, len(rows(run)) + 1))
    assert max(checkpoints(run)) >= rows(run)[-1]["step"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_a_run_goes_on_with_other_devices_to_the_same_numbers(tmp_path):
    """8 devices with cut state → 2 processes → 1 device, beside one device all the way."""
    moved, stayed = tmp_path / "moved", tmp_path / "stayed"
    settings = [*SETTINGS, "--widths", "200", "--batch-size", "400", "--optimizer", "momentum"]
    settings += ["--learning-rate", "0.02"]
    assert train.main([*settings, "--epochs", "3", "--out", str(stayed)]) == 0
    first = subprocess.run(
        [*TRAIN, *settings, "--epochs", "1", "--out", str(moved), "--shard-optimizer-state"],
        capture_output=True,
        text=True,
        env=environment(8, COMPILE_SOON),
    )
    assert first.returncode == 0, first.stderr
    again = finished(together("--resume", moved, "--epochs", 2))
    assert [code for code, *_ in again] == [0, 0], again
    pattern = r"(\d) devices .*share each batch; optimizer state: (.*) MB on each instead of (.*)\n"
    for printed, devices in ((first.stdout, 8), (again[0][1], 2)):
        number, cut, whole = map(float, re.search(pattern, printed).groups())
        assert number == devices
        assert cut == pytest.approx(whole / devices, abs=0.01)
    assert train.main(["--resume", str(moved), "--epochs", "3"]) == 0
    for moved_row, stayed_row in zip(rows(moved), rows(stayed), strict=True):
        assert moved_row["train_loss"] == pytest.approx(stayed_row["train_loss"], rel=1e-4)
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
