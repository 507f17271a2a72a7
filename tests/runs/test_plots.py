"""The pictures are drawn, whatever the classes are called and however many there are."""

import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from jaxopt_notes.data import Dataset
from jaxopt_notes.runs import plots
from jaxopt_notes.training.evaluation import Evaluation, class_scores, confusion_matrix

pytest.importorskip("matplotlib")
FILES = ("curves.png", "confusion.png", "mistakes.png")


def draw(folder, names, shape=(8, 8, 1), right=0.8, count=300):
    """Draws pictures of random images, and returns their sizes in pixels."""
    rng = np.random.default_rng(0)
    classes = len(names)
    labels = (np.arange(count) % classes).astype(np.int32)
    guesses = (labels + rng.integers(1, classes, count)) % classes
    predicted = np.where(rng.random(count) < right, labels, guesses).astype(np.int32)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    data = Dataset("made $\\frac{$ up", images[:1], labels[:1], images, labels, tuple(names))
    counts = confusion_matrix(labels, predicted, classes)
    found = Evaluation(2, predicted, rng.random(count), counts, class_scores(counts, names))
    losses = {"train_loss": 1.0, "test_loss": 1.0, "train_accuracy": 0.5, "test_accuracy": 0.5}
    assert plots.draw(folder, [{"epoch": 1, **losses}], found, data, "adam") == FILES
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    sizes = {}
    for name in FILES:
        with Image.open(folder / name) as image:
            assert len(image.convert("L").getcolors()) > 10  # something is on it
            sizes[name] = image.size
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 8, 1), (12, 6, 3)], ids=["grey", "colour"])
def test_two_classes(tmp_path, shape):
    draw(tmp_path, ["healthy", "ill"], shape)


def test_many_classes_get_room(tmp_path):
    few = draw(tmp_path, [str(k) for k in range(10)])["confusion.png"]
    many = draw(tmp_path, [chr(97 + k) for k in range(26)])["confusion.png"]
    assert few[0] < many[0] < 3_000


def test_more_classes_than_numbers_have_room(tmp_path):
    assert draw(tmp_path, [f"class {k}" for k in range(60)])["confusion.png"][0] < 3_000


def test_any_name_can_be_written(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path, ["$\\frac{$", "犬", "a name of far more letters than there is room for"])


@pytest.mark.slow
def test_no_mistakes_is_a_picture_too(tmp_path):
    height = draw(tmp_path, ["a", "b"], right=1.1)["mistakes.png"][1]
    assert height < draw(tmp_path, ["a", "b"])["mistakes.png"][1]


def test_without_matplotlib_nothing_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert plots.draw(tmp_path, [], None, None, "adam") == ()
    assert list(tmp_path.iterdir()) == []
