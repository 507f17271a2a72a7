"""The benchmark commands as a user meets them; nothing is measured here."""

import importlib

import pytest

from benchmarks import __main__ as listing
from benchmarks.contestants import trees

NAMES = list(listing.BENCHMARKS)


def command(name):
    return importlib.import_module(f"benchmarks.{name}").main


def test_the_list_names_each_benchmark(capsys):
    assert listing.main([]) == 0
    printed = capsys.readouterr().out
    for name in NAMES:
        assert f"python -m benchmarks.{name}" in printed


@pytest.mark.parametrize("name", NAMES)
def test_each_has_help_and_a_quick_look(name, capsys):
    with pytest.raises(SystemExit) as stop:
        command(name)(["--help"])
    assert stop.value.code == 0
    assert "--quick" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("train_step", ["--batch", "0"], "--batch 0: is not a list of batch sizes"),
        ("train_step", ["--batch", "many"], "--batch many"),
        ("train_step", ["--rounds", "0"], "--rounds 0: is too small; pass a whole number from 1"),
        ("update_step", ["--trees", "cn"], "did you mean 'cnn'?"),
        ("update_step", ["--rules", "lion"], "pass some of sgd-momentum"),
        ("update_step", ["--contestants", "oours"], "did you mean 'ours'?"),
        ("update_step", ["--starts", "0"], "--starts 0"),
        ("time_to_accuracy", ["--target", "99"], "--target 99.0: is out of range; pass a share"),
        ("time_to_accuracy", ["--rounds", "0"], "--rounds 0"),
        ("time_to_accuracy", ["--validate", "--try", "pek=1"], "did you mean 'peak'?"),
        (
            "time_to_accuracy",
            ["--seeds", "1"],
            "--seeds 1: is too small; pass a whole number from 2",
        ),
        ("time_to_accuracy", ["--dataset", "mnist-12q"], "did you mean 'mnist-12k'"),
        ("start_up", ["--rounds", "-1"], "--rounds -1"),
        ("start_up", ["--out", __file__], "is not a folder"),
        ("start_up", ["--fast"], "--fast: is not an option"),
        ("__main__", ["--quick"], "--quick: needs --all"),
        ("__main__", ["--all", "--only", "sok"], "did you mean 'soak'?"),
    ],
)
def test_bad_input_is_one_line_and_code_2(name, options, message, capsys):
    assert command(name)(options) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert message in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "leaves", "millions"),
    [
        ("cnn", 8, 0.42),
        ("mlp-10m", 6, 10.07),
        ("resnet50-like", 161, 25.56),
        ("gpt2-small-like", 148, 124.44),
        ("1000-leaves", 1000, 1.0),
        ("mixed", 312, 12.72),
    ],
)
def test_the_trees_are_what_they_are_said_to_be(name, leaves, millions):
    assert len(trees.TREES[name]()) == leaves
    assert trees.elements(name) / 1e6 == pytest.approx(millions, abs=0.01)
