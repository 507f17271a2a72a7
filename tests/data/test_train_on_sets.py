"""The training command on sets that are not MNIST: grey, colour, two classes, a folder."""

import json
import os

import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxopt_notes import train
from tests.data import tiny_sets


@pytest.fixture
def main(tmp_path, monkeypatch):
    """The command, briefly, with tmp_path as the folder it runs in."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        return train.main(["--out", "run", "--epochs", "4", "--batch-size", "8", *args])

    return run


def scores(tmp_path):
    return json.loads((tmp_path / "run" / "metrics.json").read_text())


def write_striped(data_dir, size, names):
    """Prepares a TFDS set of striped images."""
    splits = {}
    for seed, (split, count) in enumerate({"train": 48, "test": 18}.items()):
        images, labels = tiny_sets.stripes(count, size, len(names), seed)
        splits[split] = [
            {"image": Image.fromarray(image), "label": int(label)}
            for image, label in zip(images, labels, strict=True)
        ]
    features = {
        "image": tfds.features.Image(shape=size if len(size) == 3 else (*size, 1)),
        "label": tfds.features.ClassLabel(names=names),
    }
    tiny_sets.write_set(data_dir, "striped", splits, features)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "names"),
    [
        ((12, 12), ["healthy", "ill"]),
        pytest.param((12, 12, 3), ["cat", "dog", "emu"], marks=pytest.mark.slow),
    ],
    ids=["grey, two classes", "colour"],
)
def test_a_prepared_set_is_learnt(main, tmp_path, capsys, size, names):
    write_striped(tmp_path / "tfds", size, names)
    assert main("--dataset", "striped", "--data-dir", "tfds") == 0
    metrics = scores(tmp_path)
    assert metrics["accuracy"] > 0.9
    assert [row["name"] for row in metrics["classes"]] == names
    assert [row["support"] for row in metrics["classes"]] == [18 // len(names)] * len(names)
    assert f"{len(names)} classes" in capsys.readouterr().out
    assert os.path.getsize("run/mistakes.png") > 1_000


@pytest.mark.slow
def test_a_folder_is_learnt(main, tmp_path, capsys):
    tiny_sets.write_folder(tmp_path / "pets", ["cat", "dog"], 60, (15, 13))
    assert main("--dataset", "pets", "--image-size", "12", "--model", "mlp") == 0
    assert scores(tmp_path)["accuracy"] > 0.9
    assert scores(tmp_path)["examples"] == 12
    printed = capsys.readouterr().out
    assert "a fifth of each class" in printed
    assert "12×12×1" in printed
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["class_names"] == ["cat", "dog"]
    assert config["config"]["image_size"] == "12"


@pytest.mark.parametrize(
    ("spoil", "args", "words"),
    [
        ("broken", [], "001.png' is not a PNG"),
        ("empty class", [], "emu' holds no picture"),
        ("nothing", ["--image-size", "3"], "--image-size 3: is out of range; pass N or HEIGHT"),
        ("no folder", [], "no such folder"),
    ],
)
def test_a_bad_folder_is_one_line_and_exit_code_2(main, tmp_path, capsys, spoil, args, words):
    folder = tiny_sets.write_folder(tmp_path / "pets", ["cat", "dog"], 10)
    if spoil == "broken":
        (folder / "dog" / "001.png").write_bytes(b"x")
    elif spoil == "empty class":
        (folder / "emu").mkdir()
    name = "./absent" if spoil == "no folder" else "./pets"
    assert main("--dataset", name, *args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert os.listdir(tmp_path) == ["pets"]
