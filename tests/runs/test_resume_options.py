"""What a resumed run may change: one table, a row an option of `python -m jaxopt_notes.train`.

An option that belongs to the weights never changes. One that would make it another run changes with
`--override` only. The others are free.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxopt_notes import train
from jaxopt_notes.training import setup
from tests.run_files import described, rows
from tests.slow_cases import slow_but

# option: a value other than the run's, and settings that the run has for it
NEVER = {
    "--model cnn": {},
    "--pooling gap": {"model": "cnn", "widths": None, "pooling": "max"},
    "--widths 9": {},
    "--norm batch": {},
    "--activation tanh": {},
    "--init torch": {},
    "--image-size 14": {},
    "--ema 0.5": {},
    "--out elsewhere": {},
}
WITH_OVERRIDE = {
    "--batch-size 64": {},
    "--shift 1": {},
    "--seed 1": {},
    "--dropout 0.1": {},
    "--label-smoothing 0.1": {},
    "--clip-norm 1": {},
    "--optimizer sgd": {},
    "--learning-rate 0.5": {},
    "--schedule constant": {},
    "--warmup 0.1": {},
    "--switch-at 0.4": {
        "optimizer": "adam-to-sgd",
        "switch_at": "0.7",
        "hyperparameters": {"carry": "momentum", "sgd_learning_rate": 0.05},
    },
}
HYPERPARAMETERS = {
    "sgd": "--momentum 0.5,--nesterov,--accumulator-dtype bfloat16",
    "momentum": "--beta 0.5",
    "adagrad": "--initial-accumulator-value 1,--eps-in-sqrt",
    "rmsprop": "--decay 0.5,--initial-scale 1,--centered,--bias-correction",
    "adam": "--b1 0.5,--b2 0.5,--eps 0.1,--eps-root 0.1,--mu-dtype bfloat16",
    "adamw": "--weight-decay 0.5",
    "amsgrad": "--bias-correction-mu,--bias-correction-nu",
}
WITH_OVERRIDE |= {
    option: {"optimizer": optimizer}
    for optimizer, options in HYPERPARAMETERS.items()
    for option in options.split(",")
}
for option in ("--sgd-learning-rate 0.5", "--carry plain"):
    WITH_OVERRIDE[option] = WITH_OVERRIDE["--switch-at 0.4"]
WITH_OVERRIDE["--switch-eps 0.5"] = {
    "optimizer": "adam-to-sgd",
    "switch_at": "auto",
    "hyperparameters": {"carry": "swats", "switch_eps": 0.01},
}
FREE = [
    *("--epochs", "--patience", "--on-nonfinite", "--checkpoint-every", "--keep"),
    *("--data-dir", "--compilation-cache", "--tensorboard", "--profile", "--quiet", "--json"),
    *("--mesh", "--shard-optimizer-state", "--watch"),
]
# of a process, not of a run; or about resuming itself; or judged by the images and labels
NOT_SETTINGS = [
    *("--dataset", "--follow-links"),
    *("--resume", "--override", "--summary"),
    *("--coordinator", "--processes", "--process-id", "--distributed"),
]


@pytest.fixture
def left(small, ran, no_pictures):
    """left(**settings) is the folder of a finished run that says it had these settings."""
    shutil.copytree(ran("--checkpoint-every 99").folder, "run")

    def change(**settings):
        file = Path("run/config.json")
        description = json.loads(file.read_text())
        description["config"] |= settings
        file.write_text(json.dumps(description))
        return file.read_text()

    return change


@pytest.mark.parametrize("option", [*NEVER, *WITH_OVERRIDE])
def test_another_value_is_refused_by_name_and_nothing_is_written(small, left, capsys, option):
    before = left(**(NEVER | WITH_OVERRIDE)[option])
    tries = [[], ["--override"]] if option in NEVER else [[]]
    for override in tries:
        capsys.readouterr()
        assert small("--resume", "run", *option.split(), *override) == 2
        error = capsys.readouterr().err
        name = option.split()[0]
        assert name in error or "optimizer's settings" in error
        assert ("--override" in error) == (option in WITH_OVERRIDE)
        assert Path("run/config.json").read_text() == before


@pytest.mark.parametrize(
    "option",
    slow_but(["--learning-rate 0.5"], ["--shift 1", "--dropout 0.1", "--learning-rate 0.5"]),
)
def test_override_takes_the_new_value(small, left, option):
    left()
    change = [*option.split(), "--epochs", "3", "--override", "--quiet"]
    assert small("--resume", "run", *change) == 0
    name, value = option.split()
    assert described(Path("run"))["config"][name[2:].replace("-", "_")] == float(value)
    assert len(rows(Path("run"))) == 3


def test_what_is_free_changes_without_a_word_and_takes_effect(small, left, capsys):
    left()
    free = "--epochs 4 --patience 1 --on-nonfinite skip --checkpoint-every 1 --keep 3 "
    free += "--data-dir . --compilation-cache off --no-tensorboard --mesh data=1 "
    free += "--shard-optimizer-state --json --watch"
    assert {word for word in free.split() if word.startswith("--")} | {
        *("--tensorboard", "--profile", "--quiet")
    } == {*FREE, "--no-tensorboard"}
    capsys.readouterr()
    assert small("--resume", "run", *free.split()) == 0
    printed, after = capsys.readouterr(), rows(Path("run"))
    assert printed.err == "" or len(after) < 4
    assert any("step 8" in note for note in json.loads(printed.out.splitlines()[0])["notes"])
    assert "skipped" in after[-1]
    best = max(after, key=lambda row: (row["test_accuracy"], row["step"]))["step"]
    last = after[-1]["step"]
    checkpoints = {int(path.name) for path in Path("run/checkpoints").iterdir()}
    assert checkpoints == {last - 2, last - 1, last, best}
    small("--resume", "run", "--quiet", "--compilation-cache", "")  # for the tests after this


def test_every_option_of_the_command_is_in_the_table(capsys):
    with pytest.raises(SystemExit):
        train.main(["--help"])
    options = set(re.findall(r"^\s+(--[a-z0-9-]+)", capsys.readouterr().out, re.MULTILINE))
    changing = {option.split()[0] for option in (*NEVER, *WITH_OVERRIDE)}
    assert changing | {*FREE, *NOT_SETTINGS} == options


@pytest.mark.parametrize("part", ["train_images", "train_labels", "test_images", "test_labels"])
@pytest.mark.parametrize("place", [0, 17, -1], ids=["first", "another", "last"])
def test_other_data_is_refused_whichever_byte_is_another(
    small, left, digits, monkeypatch, capsys, part, place
):
    left()
    array = getattr(digits, part).copy()
    array.reshape(-1).view(np.uint8)[place] ^= 1
    monkeypatch.setattr(setup, "load", lambda *_: digits._replace(**{part: array}))
    capsys.readouterr()
    assert small("--resume", "run", "--epochs", "3") == 2
    assert "--dataset" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["train", "test"])
def test_other_data_is_refused_if_only_its_order_is_another(small, left, digits, monkeypatch, part):
    left()
    turned = {
        f"{part}_{what}": getattr(digits, f"{part}_{what}")[::-1] for what in ("images", "labels")
    }
    monkeypatch.setattr(setup, "load", lambda *_: digits._replace(**turned))
    assert small("--resume", "run", "--epochs", "3", "--quiet") == 2
