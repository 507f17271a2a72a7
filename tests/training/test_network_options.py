"""The network by options of `python -m jaxopt_notes.train`."""

import json
import os

import jax
import numpy as np
import pytest
from flax import nnx

from jaxopt_notes import train
from jaxopt_notes.config import settings
from jaxopt_notes.errors import InputError
from jaxopt_notes.models import CNN
from jaxopt_notes.training import setup
from jaxopt_notes.training.network import initialised

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.mark.slow
def test_a_network_drawn_by_one_program_is_flax_own_bit_for_bit():
    def make(rngs):
        return CNN(rngs, (8, 8, 1), features=(4, 8), hidden=16, norm="batch", dropout=0.1)

    ours, flax = initialised(make, 3), make(nnx.Rngs(3))
    assert nnx.graphdef(ours) == nnx.graphdef(flax)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(ours), nnx.state(flax))


@pytest.fixture
def small(monkeypatch, digits, tmp_path):
    """The command on a few digits: main(…) writes to tmp_path / 'run'."""
    few = digits._replace(
        train_images=digits.train_images[:, ::2, ::2], test_images=digits.test_images[:, ::2, ::2]
    )
    monkeypatch.setattr(setup, "load", lambda *_: few)
    monkeypatch.chdir(tmp_path)

    def main(*args):
        return train.main(["--out", "run", "--shift", "0", *args])

    return main


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected_config", "shown"),
    [
        pytest.param(
            "--model mlp --norm batch --widths 32,16 --dropout 0.1",
            {"model": "mlp", "widths": [32, 16], "norm": "batch", "dropout": 0.1, "pooling": None},
            "mlp(widths 32, 16; norm batch; dropout 0.1): 7,098 parameters",
            marks=pytest.mark.slow,
        ),
        (
            "--pooling gap --activation gelu --batch-size 128",
            {"model": "cnn", "widths": None, "pooling": "gap", "activation": "gelu"},
            "cnn(pooling gap; activation gelu): 19,466 parameters",
        ),
    ],
)
def test_a_network_trains_and_config_json_records_it(
    small, tmp_path, capsys, options, expected_config, shown
):
    assert small("--epochs", "2", *options.split()) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert rows[1]["train_loss"] < rows[0]["train_loss"]
    described = json.loads((tmp_path / "run" / "config.json").read_text())
    assert described["model"]["name"] == expected_config["model"]
    assert expected_config.items() <= described["config"].items()
    assert shown in capsys.readouterr().out


def test_summary_prints_the_table_and_trains_nothing(small, tmp_path, capsys):
    assert small("--summary", "--pooling", "average") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "shape", "parameters", "multiply-adds"]
    assert "average pool 2×2" in lines[4]
    assert small("--summary", "--json", "--model", "mlp", "--widths", "8") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[2] == {
        "name": "dense 8",
        "shape": [8],
        "parameters": 196 * 8 + 8,
        "multiply_adds": 196 * 8,
    }
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--model cnnn", ["--model cnnn", "cnn?"]),
        ("--pooling maxx", ["--pooling maxx", "max?"]),
        ("--norm layer", ["--norm layer", "none, batch"]),
        ("--init pytorch", ["--init pytorch", "torch?"]),
        ("--activation rellu", ["--activation rellu", "relu?"]),
        ("--model mlp --pooling gap", ["--pooling gap", "mlp does not take it (used by: cnn)"]),
        ("--widths 128,64", ["--widths 128,64", "used by: mlp"]),
        ("--model mlp --widths 128,0", ["--widths 128,0"]),
        ("--model mlp --widths 128;64", ["--widths 128;64"]),
        ("--model mlp --widths=", ["--widths '': is empty", "such as 128,64"]),
        ("--dropout 1", ["--dropout 1:"]),
        ("--dropout -0.1", ["--dropout -0.1"]),
        ("--dropout nan", ["--dropout nan"]),
        ("--norm batch --batch-size 1", ["--norm batch", "--batch-size of at least 2"]),
    ],
)
@pytest.mark.parametrize("summary", [[], ["--summary"]], ids=["train", "summary"])
def test_nonsense_is_one_line_and_exit_code_2(small, tmp_path, capsys, args, words, summary):
    assert small(*args.split(), *summary) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    for word in words:
        assert word in printed.err
    assert os.listdir(tmp_path) == []


def test_images_too_small_for_the_pools_are_refused(small, tmp_path, capsys, monkeypatch):
    tiny = setup.load()
    tiny = tiny._replace(train_images=tiny.train_images[:, :3, :3])
    monkeypatch.setattr(setup, "load", lambda *_: tiny)
    assert small() == 2
    error = capsys.readouterr().err
    assert "3×3" in error
    assert error.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_an_empty_list_of_widths_is_refused():
    with pytest.raises(InputError, match="--widths"):
        settings.validate({"model": "mlp", "widths": ()})
