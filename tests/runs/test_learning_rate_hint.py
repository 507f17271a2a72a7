"""A loss that stays that of a guess gets one hint, which names the learning rate."""

import json
import math
from dataclasses import replace

import pytest

from jaxopt_notes.config.settings import resolve
from jaxopt_notes.runs import report
from jaxopt_notes.runs.info import DataInfo, RunInfo

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.mark.parametrize(
    ("rate", "remedy"),
    [
        ("1e-12", "try a larger --learning-rate, such as 0.003"),
        pytest.param("30", "try a smaller --learning-rate, such as 0.003", marks=pytest.mark.slow),
    ],
)
def test_a_loss_that_does_not_fall_gets_one_hint(small, capsys, rate, remedy):
    options = ["--learning-rate", rate, "--epochs", "8", "--checkpoint-every", "off"]
    assert small(*options) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("hint: ")]
    assert len(lines) == 1
    assert f"; the learning rate is {rate}: {remedy}" in lines[0]
    assert "(2.303)" in lines[0]  # ln 10

    assert small(*options, "--json", "--out", "again") == 0
    values = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [value["note"] for value in values if "note" in value] == lines


def test_a_run_that_learns_gets_none(small, capsys):
    assert small("--epochs", "8", "--checkpoint-every", "off") == 0
    assert "hint" not in capsys.readouterr().out


def hints(steps_per_epoch, losses, classes=10, **asked):
    """The epochs after which a run with these losses gets the hint."""
    info = RunInfo(
        config=resolve({"epochs": len(losses)} | asked, 1),
        data=DataInfo(image_shape=(28, 28, 1), class_names=tuple(map(str, range(classes)))),
        steps_per_epoch=steps_per_epoch,
    )
    rows = [
        {"step": (i + 1) * steps_per_epoch, "train_loss": loss, "test_loss": loss}
        for i, loss in enumerate(losses)
    ]
    shown = [n + 1 for n in range(len(rows)) if report.learning_rate_hint(info, rows[: n + 1])]
    again = replace(info, config=replace(info.config, learning_rate=info.config.learning_rate * 2))
    assert [
        n + 1 for n in range(len(rows)) if report.learning_rate_hint(again, rows[: n + 1])
    ] == shown
    return shown


def test_it_is_due_after_the_warm_up_and_the_first_steps():
    assert hints(1000, [2.4, 2.4, 2.4]) == [1]
    assert hints(10, [2.4] * 20, schedule="constant") == [5]
    assert hints(100, [2.4] * 20) == [5]  # a quarter of the run is warm-up
    assert hints(1, [2.4] * 3) == [3]
    assert hints(1000, [2.0, 2.4, 2.4]) == []
    assert hints(1000, [math.log(2)], classes=2) == [1]
    assert hints(1000, [0.6], classes=2) == []
