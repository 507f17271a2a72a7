"""`--which` says whose weights predict and export take: the best, the last or the averaged."""

import json

import jax
import numpy as np
import pytest

from jaxopt_notes import export, predict

LEARNS = "--learning-rate 0.05 --schedule constant --epochs 4 --ema 0.9 --checkpoint-every 99"
FORGETS = "--override --learning-rate 0.15 --epochs 5"


@pytest.fixture(scope="module")
def printed():
    """What the run has printed, once it is finished."""
    return {}


@pytest.fixture
def worse(ran, small, capsys, printed):
    """A run that learns for four epochs and forgets in a fifth; the accuracy of each choice."""
    result = ran(f"{LEARNS} --dataset mnist-12k")
    if not printed:
        assert small("--resume", str(result.folder), *FORGETS.split()) == 0
        printed["out"] = capsys.readouterr().out
    accuracies = [row["test_accuracy"] for row in result.rows]
    choices = {"best": max(accuracies), "last": accuracies[-1]}
    choices["ema"] = result.rows[-1]["ema_test_accuracy"]
    assert len(set(choices.values())) == 3
    assert accuracies[0] < max(accuracies)
    return result, choices


@pytest.mark.parametrize("which", ["best", "last", "ema"])
def test_predictions_are_those_of_the_weights_that_were_asked_for(
    worse, which, digits, monkeypatch, capsys
):
    monkeypatch.setattr("jaxopt_notes.data.load", lambda *_: digits)
    result, choices = worse
    capsys.readouterr()
    args = ["--run", str(result.folder), "--which", which]
    assert predict.main([*args, "--split", "test", "--json"]) == 0
    *rows, total = map(json.loads, capsys.readouterr().out.splitlines())
    assert total["accuracy"] == pytest.approx(choices[which], rel=1e-12)
    for row, label in zip(rows, digits.test_labels, strict=True):
        assert row["true"] == digits.class_names[label]
        assert row["class"] == max(row["probabilities"], key=row["probabilities"].get)
        assert row["probability"] == max(row["probabilities"].values())
        assert [*row["probabilities"]] == list(digits.class_names)
    exported = result.folder / which
    assert export.main([*args, "--out", str(exported)]) == 0
    logits = jax.export.deserialize(bytearray(exported.read_bytes())).call(digits.test_images)
    right = (np.asarray(logits).argmax(1) == digits.test_labels).mean()
    assert right == pytest.approx(choices[which], abs=1 / 300)
    assert len(rows) == 300


def test_the_run_names_its_best_epoch_and_scores_its_last(worse, printed):
    result, choices = worse
    best = [row for row in result.rows if row["test_accuracy"] == choices["best"]]
    line = f"best: {choices['best']:.2%} after epoch {best[0]['epoch']}\n"
    assert line in printed["out"]
    assert {row["step"] for row in best} & result.checkpoints
    scores = json.loads((result.folder / "metrics.json").read_text())
    assert scores["accuracy"] == pytest.approx(choices["last"])
    assert scores["step"] == result.rows[-1]["step"]
