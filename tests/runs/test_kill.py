"""Runs that are killed, again and again, end where an untouched run does: in every bit.

The full test is `python -m pytest -m slow tests/runs/test_kill.py`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxopt_notes.inference.trained import load_trained
from tests.run_files import SMALL, TRAIN, rows, without_seconds

KILLS, EPOCH = 20, 10  # EPOCH: steps
ARGS = ["--dataset", "mnist-12k", *SMALL.split(), "--batch-size", "1000", "--schedule", "constant"]
ENDLESS = ["--epochs", "10000"]


def newest(run):
    """The step of the newest checkpoint, whole or half written."""
    names = [p.name.split(".")[0] for p in (run / "checkpoints").glob("*")]
    return max((int(name) for name in names if name.isdigit()), default=0)


def kill_in_the_middle(process, run, rng):
    """Kills the process at a random moment after it has got further than the one before."""
    before, deadline = newest(run), time.monotonic() + 120
    while newest(run) <= before and time.monotonic() < deadline:
        os.kill(process, 0)  # ProcessLookupError if it has ended
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.3))
    os.kill(process, signal.SIGKILL)


def epochs_of(run):
    return [row["epoch"] for row in rows(run)] if (run / "metrics.jsonl").exists() else []


@pytest.fixture
def trainer(tmp_path):
    """A process of `forked_train.py` in the test's folder, with its errors in a file there."""
    with (
        open(tmp_path / "errors.txt", "w") as errors,
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forked_train.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        ) as process,
    ):
        yield process
        os.killpg(process.pid, signal.SIGKILL)  # the process that it has forked, too


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path, trainer):
    def start(*options):
        print(json.dumps([*options, "--quiet"]), file=trainer.stdin, flush=True)
        return int(trainer.stdout.readline())

    def exit_code():
        code, errors = trainer.stdout.readline(), (tmp_path / "errors.txt").read_text()
        assert "Traceback" not in errors, errors
        return int(code)

    args = [*ARGS, "--shift", "2", "--norm", "batch", "--dropout", "0.1", "--ema", "0.99"]
    run, rng, epochs = tmp_path / "run", random.Random(0), []
    process = start(*args, *ENDLESS, "--checkpoint-every", "7", "--out", "run")
    for _ in range(KILLS - 1):
        kill_in_the_middle(process, run, rng)
        assert exit_code() == -signal.SIGKILL
        epochs = epochs_of(run)
        assert epochs == list(range(1, len(epochs) + 1))  # no broken line, and no epoch twice
        process = start("--resume", "run")
    kill_in_the_middle(process, run, rng)
    assert exit_code() == -signal.SIGKILL
    last = ["--epochs", str(len(epochs_of(run)) + 2)]
    start("--resume", "run", *last)
    assert exit_code() == 0
    start(*args, *last, "--out", "whole")
    assert exit_code() == 0
    assert without_seconds(rows(run)) == without_seconds(rows(tmp_path / "whole"))
    finals = [load_trained(str(tmp_path / name), "ema").weights for name in ("run", "whole")]
    assert finals[0].step == finals[1].step == EPOCH * int(last[1])
    for leaf, expected in zip(*map(jax.tree.leaves, finals), strict=True):
        np.testing.assert_array_equal(leaf, expected)


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path):
    """One kill of the command as users start it, at the first sign of a checkpoint."""

    def start(*options):
        return subprocess.Popen([*TRAIN, *options, "--quiet"], cwd=tmp_path)

    run = tmp_path / "run"
    process = start(*ARGS, *ENDLESS, "--checkpoint-every", "3", "--out", "run")
    kill_in_the_middle(process.pid, run, random.Random(1))
    assert process.wait(timeout=60) == -signal.SIGKILL
    epochs = len(epochs_of(run)) + 2
    again = start("--resume", "run", "--epochs", str(epochs))
    assert again.wait(timeout=120) == 0
    assert [row["step"] for row in rows(run)] == [EPOCH * k for k in range(1, epochs + 1)]
