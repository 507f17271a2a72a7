"""The commands that use a finished run: predict and export."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from jaxopt_notes import export, predict, train
from jaxopt_notes.data import load
from jaxopt_notes.inference.trained import load_trained
from jaxopt_notes.training import setup

pytest.importorskip("flatbuffers")


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """A dense network's run on a few digits, its test set the one that `load` gives."""
    folder = tmp_path_factory.mktemp("runs") / "mlp"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "load", lambda *_: digits)
        patch.setitem(sys.modules, "matplotlib.figure", None)  # no pictures
        args = ["--dataset", "mnist-12k", "--model", "mlp", "--epochs", "2", "--quiet"]
        assert train.main([*args, "--out", str(folder)]) == 0
    return str(folder)


@pytest.fixture
def files(digits, tmp_path):
    """Three test digits: as they are, large and dark on light, and a JPEG in a corner."""
    a, b, c = (Image.fromarray(image[..., 0]) for image in digits.test_images[:3])
    a.save(tmp_path / "a.png")
    Image.eval(b.resize((300, 300)), lambda x: 255 - x).save(tmp_path / "b.png")
    corner = Image.new("L", (200, 120))
    corner.paste(c.resize((84, 84)), (110, 30))
    corner.save(tmp_path / "c.JPG", "JPEG", quality=95)
    return [str(tmp_path / name) for name in ("a.png", "b.png", "c.JPG")]


def classes(rows):
    return [row["class"] for row in rows]


def test_files_get_the_classes_of_the_digits_on_them(run, files, digits, capsys):
    assert predict.main(["--run", run, "--json", *files]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["file"] for row in rows] == files
    assert [row["ink"] for row in rows] == ["light", "dark", "light"]
    trained = load_trained(run)

    @jax.jit
    def chances(images):
        logits, _ = trained.model.apply(trained.weights.params, {}, trained.normalize(images))
        return jax.nn.softmax(logits)

    for row, expected in zip(rows, np.asarray(chances(digits.test_images[:3]))):
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert row["probability"] == max(row["probabilities"].values())
        np.testing.assert_allclose([*row["probabilities"].values()], expected, atol=0.15)


def test_the_table_has_a_line_a_file(run, files, capsys):
    assert predict.main(["--run", run, *files]) == 0
    head, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head[:3] == ["file", "class", "probability"]
    assert [line[0] for line in lines] == files
    assert all(line[2].endswith("%") for line in lines)


def test_an_answer_below_the_limit_is_unsure(run, files, capsys, monkeypatch, digits):
    assert predict.main(["--run", run, "--json", *files]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(answer["unsure"] == (answer["probability"] < 0.7) for answer in answers)
    limit = np.mean(sorted(answer["probability"] for answer in answers)[:2])
    monkeypatch.setattr(predict, "UNSURE", limit)
    assert predict.main(["--run", run, *files]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[-1] == "note"
    for answer, line in zip(answers, lines):
        assert line.endswith("unsure") == (answer["probability"] < limit)
    monkeypatch.setattr("jaxopt_notes.data.load", lambda *_: digits)
    assert predict.main(["--run", run, "--split", "test", "--json"]) == 0
    *rows, total = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert total["unsure"] == sum(row["probability"] < limit for row in rows) > 0


def test_a_file_that_is_named_twice_has_two_lines(run, files, capsys):
    assert predict.main(["--run", run, "--json", files[0], files[1], files[0]]) == 0
    printed_files = [json.loads(line)["file"] for line in capsys.readouterr().out.splitlines()]
    assert printed_files == [files[0], files[1], files[0]]


def test_several_digits_get_a_warning(run, files, tmp_path, capsys):
    page = Image.new("L", (320, 320), 255)
    with Image.open(files[1]) as digit:
        page.paste(digit.resize((120, 120)), (20, 100))
        page.paste(digit.resize((120, 120)), (170, 100))
    page.save(tmp_path / "two.png")
    assert predict.main(["--run", run, "--json", *files, str(tmp_path / "two.png")]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["warning"] for answer in answers] == ["", "", "", "several digits?"]
    assert predict.main(["--run", run, str(tmp_path / "two.png")]) == 0
    assert capsys.readouterr().out.rstrip().endswith("several digits?")


def test_a_digit_is_the_same_turned_by_exif_or_on_transparent_ground(run, files, tmp_path, capsys):
    with Image.open(files[1]) as digit:
        exif = Image.Exif()
        exif[0x0112] = 6
        digit.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
        for name, grey in (("dark", 0), ("light", 255)):
            clear = Image.new("LA", digit.size, (grey, 0))
            clear.putalpha(Image.eval(digit, lambda x: 255 - x))
            clear.save(tmp_path / f"{name}.png")
    names = [files[1], *(str(tmp_path / f"{name}.png") for name in ("turned", "dark", "light"))]
    assert predict.main(["--run", run, "--json", *names]) == 0
    first, *others = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [first["ink"], *(other["ink"] for other in others)] == ["dark", "dark", "dark", "light"]
    for other in others:
        assert other["class"] == first["class"]
        assert other["probability"] == pytest.approx(first["probability"], abs=0.02)


def test_show_draws_what_the_network_saw(run, files, digits, tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    figures = []
    monkeypatch.setattr("jaxopt_notes.runs.plots.save", lambda figure, *_: figures.append(figure))
    out = str(tmp_path / "shown.png")
    assert predict.main(["--run", run, "--json", "--show", out, *files]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    panels = [axes for axes in figures[0].axes if axes.images]
    originals, seen = panels[::2], panels[1::2]
    assert [axes.get_title() for axes in originals] == ["a.png", "b.png", "c.JPG"]
    assert originals[1].images[0].get_array()[0, 0].tolist() == [255, 255, 255]
    for axes, answer, digit in zip(seen, answers, digits.test_images):
        assert axes.get_title().startswith(f"{answer['class']}\n{answer['probability']:.1%}")
        image = axes.images[0].get_array()
        assert image.shape == (28, 28)
        assert np.abs(image.astype(float) - digit[..., 0]).mean() < 15


def test_show_writes_a_picture_or_says_why_not(run, files, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = tmp_path / "shown.png"
    assert predict.main(["--run", run, "--show", str(out), files[0]]) == 0
    with Image.open(out) as image:
        assert len(image.convert("L").getcolors()) > 10
    assert predict.main(["--run", run, "--show", str(out), files[0]]) == 0  # it may be drawn again
    capsys.readouterr()
    own = Path(files[1]).read_bytes()
    assert predict.main(["--run", run, "--show", *reversed(files[:2])]) == 2  # from --show *.png
    assert "b.png: is one of the pictures to classify" in capsys.readouterr().err
    assert Path(files[1]).read_bytes() == own
    for args in (["no/where.png", files[0]], ["x.jpg", files[0]], ["x.png", "--split", "test"]):
        assert predict.main(["--run", run, "--show", *args]) == 2
        assert capsys.readouterr().err.startswith(f"error: --show {args[0]}: ")


def test_what_is_no_picture_is_named_and_the_others_are_classified(run, files, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (9, 9), 77).save(tmp_path / "blank.png")
    Image.new("F", (9, 9)).save(tmp_path / "deep.tif")
    broken = [str(tmp_path / name) for name in ("text.png", "blank.png", "deep.tif", "missing.png")]
    assert predict.main(["--run", run, "--json", broken[0], files[0], *broken[1:], files[1]]) == 2
    printed = capsys.readouterr()
    assert [json.loads(line)["file"] for line in printed.out.splitlines()] == files[:2]
    errors = printed.err.splitlines()
    assert len(errors) == len(broken)
    for error, file in zip(errors, broken):
        assert error.startswith(f"error: {file!r} ")


def test_only_broken_files_print_nothing_else(run, tmp_path, capsys):
    assert predict.main(["--run", run, str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)


def test_a_picture_too_large_to_be_safe_is_refused(run, tmp_path, capsys, monkeypatch):
    Image.new("1", (300, 300)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    assert predict.main(["--run", run, str(tmp_path / "bomb.png")]) == 2
    assert "claims to hold more than 10,000 pixels" in capsys.readouterr().err


@pytest.mark.parametrize("which", ["best", "last"])
def test_the_test_set_has_the_accuracy_that_the_training_measured(
    run, which, digits, capsys, monkeypatch
):
    monkeypatch.setattr("jaxopt_notes.data.load", lambda *_: digits)
    assert predict.main(["--run", run, "--which", which, "--split", "test", "--json"]) == 0
    *rows, total = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    with open(f"{run}/metrics.jsonl") as file:
        accuracies = [json.loads(line)["test_accuracy"] for line in file]
    expected = max(accuracies) if which == "best" else accuracies[-1]
    assert total["accuracy"] == pytest.approx(expected, rel=1e-12)
    assert total["examples"] == len(rows) == 300
    assert sum(row["class"] == row["true"] for row in rows) == total["right"]


def test_another_data_set_than_the_runs_is_refused(run, digits, capsys, monkeypatch):
    other = digits._replace(class_names=tuple("abcdefghij"))
    monkeypatch.setattr("jaxopt_notes.data.load", lambda *_: other)
    assert predict.main(["--run", run, "--split", "test"]) == 2
    assert "has changed since" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "--run"),
        (["--run", "nowhere", "x.png"], "--run nowhere: holds no run"),
        (["--run", "nowhere"], "pass files, or --split test"),
        (["--run", "nowhere", "--split", "test", "x.png"], "pass one of them"),
        (["--run", "nowhere", "--ink", "red", "x.png"], "red"),
        (["--run", "nowhere", "--which", "first", "x.png"], "first"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(args, words, capsys):
    assert predict.main(args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err


@pytest.mark.parametrize(
    ("command", "damage"),
    [("predict", "remove"), ("export", "flip")],
)
@pytest.mark.slow
def test_a_damaged_checkpoint_is_one_line(run, files, tmp_path, command, damage):
    damaged = tmp_path / "damaged"
    shutil.copytree(run, damaged)
    arrays = [f for f in damaged.glob("checkpoints/*/weights/**/*") if f.is_file()]
    arrays = [f for f in arrays if f.stat().st_size > 2000]
    assert arrays
    for file in arrays:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.unlink()
        if damage == "flip":
            file.write_bytes(content)
    rest = files if command == "predict" else ["--out", str(tmp_path / "x")]
    # In a process of its own: orbax reports unfinished work when the process ends.
    args = [sys.executable, "-m", f"jaxopt_notes.{command}", "--run", str(damaged), *rest]
    done = subprocess.run(args, capture_output=True, text=True)
    assert done.returncode == 2
    assert "is damaged" in done.stderr
    assert done.stderr.count("\n") == 1


def test_export_writes_a_file_that_agrees(run, digits, tmp_path, capsys):
    out = tmp_path / "net.jax"
    assert export.main(["--run", run, "--out", str(out)]) == 0
    assert "uint8 (batch, 28, 28, 1)" in capsys.readouterr().out
    trained = load_trained(run)
    images = digits.test_images[:7]
    apply = jax.jit(trained.model.apply)
    expected, _ = apply(trained.weights.params, {}, trained.normalize(images))
    logits = jax.export.deserialize(bytearray(out.read_bytes())).call(images)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert export.main(["--run", run, "--out", str(tmp_path / "no" / "net")]) == 2
    assert export.main(["--run", str(tmp_path), "--out", str(out)]) == 2


@pytest.mark.parametrize("name", ["aot.__main__", "compare", "export", "predict"])
def test_help_needs_no_jax(name):
    code = (
        f"import sys; import jaxopt_notes.{name} as command\n"
        "try: command.main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(m in sys.modules for m in ('jax', 'optax', 'flax', 'numpy', 'PIL')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"python -m jaxopt_notes.{name.removesuffix('.__main__')}" in done.stdout


@pytest.mark.slow
def test_of_a_hundred_digits_of_all_sizes_and_inks_nearly_all_are_told(tmp_path, capsys):
    """`JAXOPT_NOTES_RUN` names a run on mnist-12k that is trained already."""
    out = os.environ.get("JAXOPT_NOTES_RUN", str(tmp_path / "run"))
    if not Path(out).exists():
        assert train.main(["--dataset", "mnist-12k", "--epochs", "3", "--quiet", "--out", out]) == 0
    data, rng = load("mnist-12k"), np.random.default_rng(0)
    files = []
    for i in rng.choice(len(data.test_labels), 100, replace=False):
        side = int(rng.choice([28, 50, 100, 400]))
        digit = Image.fromarray(data.test_images[i, ..., 0])
        page = np.pad(
            digit.resize((side, side), Image.Resampling.BICUBIC), rng.integers(0, side, (2, 2))
        )
        page = 255 - page if rng.random() < 0.5 else page
        form = rng.choice(["png", "jpg"])
        files.append(str(tmp_path / f"{i}-{data.test_labels[i]}.{form}"))
        Image.fromarray(page).save(files[-1])
    assert predict.main(["--run", out, "--json", *files]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    right = sum(row["class"] == row["file"].split("-")[-1][0] for row in rows)
    assert right >= 93
