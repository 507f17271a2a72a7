"""`train --optimizer adam-to-sgd`: where it switches, and how it reports the switch."""

import json
import os

import pytest

from jaxopt_notes import train
from jaxopt_notes.config.settings import resolve
from jaxopt_notes.training import adam_to_sgd, setup
from jaxopt_notes.training.schedules import schedule
from tests.run_files import SMALL

pytestmark = pytest.mark.usefixtures("no_pictures")

STEPS = 24  # 3 epochs of 8


@pytest.fixture
def small(monkeypatch, digits, tmp_path):
    """The command on a few digits: main(…) writes to tmp_path / 'run'."""
    monkeypatch.setattr(setup, "load", lambda *_: digits)
    monkeypatch.chdir(tmp_path)

    def main(*args):
        own = "--out run --epochs 3 --optimizer adam-to-sgd"
        return train.main([*own.split(), *SMALL.split(), *args])

    return main


def rows(path):
    return [json.loads(line) for line in (path / "run" / "metrics.jsonl").read_text().splitlines()]


def config(path):
    return json.loads((path / "run" / "config.json").read_text())["config"]


def test_at_a_share_of_the_run(small, tmp_path, capsys):
    assert small("--switch-at", "0.5", "--sgd-learning-rate", "0.04") == 0
    history = rows(tmp_path)
    assert [row["switched_at"] for row in history] == [None, 12, 12]
    rate = float(schedule("one-cycle", 0.04, STEPS)(12))
    assert [row["sgd_rate"] for row in history] == [None, pytest.approx(rate), pytest.approx(rate)]
    assert config(tmp_path)["switch_at"] == "0.5"
    assert config(tmp_path)["hyperparameters"] == {"carry": "momentum", "sgd_learning_rate": 0.04}
    lines = capsys.readouterr().out.splitlines()
    phrase = f"SGD after step 12, learning rate {rate:.3g}"
    in_rows = [line for line in lines if line.startswith("    ") and phrase in line]
    assert [line.split()[0] for line in in_rows] == ["2"]
    assert any("test images right" in line and phrase in line for line in lines)
    assert any("switch_at=0.5" in line for line in lines)


def test_by_default_at_seven_tenths_with_momentum():
    settings = resolve({"optimizer": "adam-to-sgd"}, 1)
    assert settings.switch_at == 0.7
    assert settings.hyperparameters["carry"] == "momentum"
    assert adam_to_sgd.arguments(settings, STEPS)["switch_step"] == round(0.7 * STEPS)


@pytest.mark.slow
def test_by_swats_once_the_warm_up_is_over(small, tmp_path, capsys):
    assert small("--switch-at", "auto", "--switch-eps", "1e9", "--warmup", "0.5") == 0
    last = rows(tmp_path)[-1]
    assert last["switched_at"] >= 12
    assert last["sgd_rate"] > 0
    assert "SGD after step 1" in capsys.readouterr().out
    assert config(tmp_path)["hyperparameters"] == {"carry": "swats", "switch_eps": 1e9}


@pytest.mark.slow
def test_swats_that_never_finds_its_moment_says_so(small, tmp_path, capsys, digits, monkeypatch):
    """On black images of one class: most gradients are 0 from the first step on."""
    blank = digits._replace(
        train_images=digits.train_images * 0, train_labels=digits.train_labels * 0
    )
    monkeypatch.setattr(setup, "load", lambda *_: blank)
    assert small("--switch-at", "auto", "--switch-eps", "0") == 0
    assert [(r["switched_at"], r["sgd_rate"]) for r in rows(tmp_path)] == [(None, None)] * 3
    assert "not switched to SGD" in capsys.readouterr().out


def test_swats_rate_can_be_taken_at_a_given_share():
    settings = resolve({"optimizer": "adam-to-sgd", "carry": "swats"}, 1)
    arguments = adam_to_sgd.arguments(settings, STEPS)
    assert arguments == {"carry": "swats", "switch_step": 17}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--switch-at 1.2", ["--switch-at 1.2", "below 1"]),
        ("--switch-at 1", ["--switch-at 1", "below 1"]),
        ("--switch-at 0", ["--switch-at 0", "above 0"]),
        ("--switch-at soon", ["--switch-at soon", "auto"]),
        ("--switch-at nan", ["--switch-at nan"]),
        ("--switch-at 0.99", ["--switch-at 0.99", "step 24 of a run of 24"]),
        ("--switch-at 0.01", ["--switch-at 0.01", "step 0 of a run of 24"]),
        ("--optimizer adam --switch-at 0.5", ["--switch-at 0.5", "adam-to-sgd"]),
        ("--optimizer adam --carry plain", ["--carry", "adam does not take it"]),
        ("--carry all", ["--carry all", "plain, momentum, swats"]),
        ("--carry plain --switch-at auto", ["--carry plain", "--switch-at auto"]),
        ("--switch-eps 0.1", ["--switch-eps", "--switch-at auto"]),
        ("--switch-at auto --switch-eps -1", ["--switch-eps -1:"]),
        ("--switch-at auto --sgd-learning-rate 0.1", ["--sgd-learning-rate", "SWATS"]),
        ("--sgd-learning-rate 0", ["--sgd-learning-rate 0:", "positive"]),
        ("--sgd-learning-rate inf", ["--sgd-learning-rate inf"]),
    ],
)
def test_a_switch_that_cannot_be_is_one_line_and_exit_code_2(small, tmp_path, capsys, args, words):
    assert small(*args.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    for word in words:
        assert word in printed.err
    assert os.listdir(tmp_path) == []


def test_other_optimizers_have_nothing_to_say_of_it():
    settings = resolve({"optimizer": "sgd", "momentum": 0.9}, 1)
    assert adam_to_sgd.arguments(settings, STEPS) == {"momentum": 0.9}
    optimizer = setup.build_optimizer(settings, STEPS)
    assert adam_to_sgd.describe(settings, STEPS, optimizer.init({})) == {}
    assert adam_to_sgd.text({}) == ""
