"""Runs that are killed, again and again, end where an untouched run does: in every bit.

The full test is `python -m pytest -m slow tests/runs/test_kill.py`.
"""

import random
import signal
import subprocess
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxopt_notes.inference.trained import load_trained
from tests.run_files import TRAIN, rows, without_seconds

KILLS = 20
EPOCHS = 30
ARGS = ["--dataset", "mnist-12k", "--model", "mlp", "--norm", "batch", "--dropout", "0.1"]
ARGS += ["--batch-size", "256", "--ema", "0.99", "--epochs", str(EPOCHS)]


def start(folder, *args):
    return subprocess.Popen(
        [*TRAIN, *args, "--quiet"], cwd=folder, stderr=subprocess.PIPE, text=True
    )


def newest(run):
    """The step of the newest checkpoint, whole or half written."""
    names = [p.name.split(".")[0] for p in (run / "checkpoints").glob("*")]
    return max((int(name) for name in names if name.isdigit()), default=0)


def kill_in_the_middle(process, run, rng):
    """Kills the process at a random moment after it has got further than the one before."""
    before, deadline = newest(run), time.monotonic() + 120
    while newest(run) <= before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors, errors
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path):
    whole = start(tmp_path, *ARGS, "--out", "whole")
    assert whole.wait(timeout=300) == 0
    rng = random.Random(0)
    run, kills = tmp_path / "run", 0
    process = start(tmp_path, *ARGS, "--out", "run", "--checkpoint-every", "7")
    while kills < KILLS and kill_in_the_middle(process, run, rng):
        kills += 1
        epochs = [row["epoch"] for row in rows(run)] if (run / "metrics.jsonl").exists() else []
        assert epochs == list(range(1, len(epochs) + 1))  # no broken line, and no epoch twice
        process = start(tmp_path, "--resume", "run")
    _, errors = process.communicate(timeout=300)
    assert (process.returncode, kills) == (0, KILLS), errors
    assert without_seconds(rows(run)) == without_seconds(rows(tmp_path / "whole"))
    finals = [load_trained(str(tmp_path / name), "ema").weights for name in ("run", "whole")]
    assert finals[0].step == finals[1].step == EPOCHS * (10_000 // 256)
    for leaf, expected in zip(*map(jax.tree.leaves, finals), strict=True):
        np.testing.assert_array_equal(leaf, expected)


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path):
    """One kill, at the first sign of a checkpoint."""
    args = [*ARGS[:4], "--batch-size", "1000", "--epochs", "40"]
    run = tmp_path / "run"
    process = start(tmp_path, *args, "--out", "run", "--checkpoint-every", "3")
    assert kill_in_the_middle(process, run, random.Random(1))
    again = start(tmp_path, "--resume", "run", "--epochs", "41")
    assert again.wait(timeout=120) == 0
    assert [row["step"] for row in rows(Path(run))] == [10 * k for k in range(1, 42)]
