"""`python -m jaxopt_notes.compare` as a user meets it."""

import json
import sys

import pytest
from PIL import Image

from jaxopt_notes import compare
from jaxopt_notes.config.settings import resolve
from jaxopt_notes.files import write_json, write_rows
from tests.slow_cases import slow_but


def row(epoch, loss, accuracy):
    scores = {"train_loss": loss, "train_accuracy": accuracy}
    scores |= {"test_loss": 2 * loss, "test_accuracy": accuracy}
    return {"epoch": epoch, "step": 10 * epoch, "seconds": 1.5 * epoch, **scores}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """make(name, rows, data set, settings) writes a run's folder below the current one."""
    monkeypatch.chdir(tmp_path)

    def make(name, rows=(), data="mnist", fingerprint="ab", **settings):
        (tmp_path / name).mkdir(parents=True)
        data_facts = {"name": data, "image_shape": [28, 28, 1], "class_names": ["0", "1"]}
        described = {
            "config": resolve({"out": name, "epochs": 3, **settings}, 1).as_json(),
            "data": data_facts | {"fingerprint": fingerprint},
        }
        write_json(tmp_path / name / "config.json", described)
        write_rows(tmp_path / name / "metrics.jsonl", rows)

    return make


def test_the_table_has_what_differs_and_the_best_and_last_scores(make, capsys):
    make("a", [row(1, 0.5, 0.9), row(2, 0.3, 0.99), row(3, 0.4, 0.95)], seed=1)
    make("b", [row(1, 0.5, 0.9)], optimizer="sgd", learning_rate=0.003, momentum=0.9, seed=1)
    assert compare.main(["a", "b"]) == 0
    printed = capsys.readouterr()
    head, a, b = (line.split() for line in printed.out.splitlines())
    assert head[:4] == ["run", "optimizer", "momentum", "steps"]
    assert a == ["a", "adam", "–", "30", "4.5", "99.00%", "95.00%", "0.6000", "0.8000"]
    assert b == ["b", "sgd", "0.9", "10", "1.5", "90.00%", "90.00%", "1.0000", "1.0000"]
    assert printed.err == ""


def test_json_has_the_same(make, capsys):
    make("a", [row(1, 0.5, 0.9), row(2, float("nan"), 0.5)], widths=(3, 4), model="mlp")
    make("b", [row(1, 0.5, 0.9)])
    assert compare.main(["--json", "a", "b"]) == 0
    a, b = json.loads(capsys.readouterr().out)["runs"]
    assert a["settings"] == {"model": "mlp", "pooling": None, "widths": [3, 4]}
    assert (a["best_test_loss"], a["best_test_accuracy"], a["steps"]) == (1.0, 0.9, 20)
    assert b["settings"] == {"model": "cnn", "pooling": "max", "widths": None}


def test_different_data_broken_lines_and_unfinished_runs_are_told_in_a_line_each(make, capsys):
    make("a", [row(1, 0.5, 0.9)])
    make("b", [row(1, 0.5, 0.9)], fingerprint="cd")
    make("c")
    with open("a/metrics.jsonl", "a") as file:
        file.write('{"epoch": 2, "st\n[]\n{"epoch": 2}\n')
    with open("b/metrics.jsonl", "ab") as file:
        file.write(b"\xff\xfe\n")
    assert compare.main(["a", "b", "c"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1].split()[:2] == ["a", "10"]
    notes = [
        "note: a/metrics.jsonl: skipped broken lines 2, 3, 4",
        "note: b/metrics.jsonl: skipped broken line 2",
        "note: c: no epoch has finished",
        "note: the data sets differ: a mnist ab, b mnist cd, c mnist ab",
    ]
    assert printed.err.splitlines() == notes


def test_runs_of_one_name_go_by_their_paths(make, capsys):
    make("x/run", [row(1, 0.5, 0.9)])
    make("y/run", [row(1, 0.5, 0.9)])
    assert compare.main(["x/run", "y/run/"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "x/run",
        "y/run/",
    ]


@pytest.mark.parametrize("count", slow_but([3], [1, 3, 12]))
def test_the_picture_has_a_curve_a_run(make, count, tmp_path):
    pytest.importorskip("matplotlib")
    names = [f"_$run{i}" for i in range(count)]
    for i, name in enumerate(names):
        make(name, [row(1, 0.5, 0.9), row(2, 0.4 - 0.01 * i, 0.9 + 0.005 * i)])
    make("unfinished")
    assert compare.main([*names, "unfinished", "--out", "curves.png"]) == 0
    with Image.open("curves.png") as image:
        colors = image.convert("P").getcolors()
        assert image.size[0] == 1350
    assert len(colors) > count
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["curves.png"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["RUN"]),
        (["nowhere"], ["RUN nowhere", "holds no run"]),
        (["a", "--out", "x.jpg"], ["--out x.jpg", ".png"]),
        (["a", "--out", "no/x.png"], ["--out no/x.png", "cannot be written"]),
        (["unfinished", "--out", "x.png"], ["--out x.png", "nothing to draw"]),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(make, args, words, capsys):
    make("a", [row(1, 0.5, 0.9)])
    make("unfinished")
    assert compare.main(args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert all(word in printed.err for word in words)


def test_without_matplotlib_its_extra_is_named(make, monkeypatch, capsys):
    make("a", [row(1, 0.5, 0.9)])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert compare.main(["a", "--out", "x.png"]) == 2
    assert "jaxopt-notes[plots]" in capsys.readouterr().err
