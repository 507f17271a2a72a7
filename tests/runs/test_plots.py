"""The pictures are drawn, whatever the classes are called and however many there are."""

import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from jaxopt_notes.data import Dataset
from jaxopt_notes.runs import fonts, plots
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
    evaluation = Evaluation(2, predicted, rng.random(count), counts, class_scores(counts, names))
    losses = {"train_loss": 1.0, "test_loss": 1.0, "train_accuracy": 0.5, "test_accuracy": 0.5}
    drawn = plots.draw(folder, [{"epoch": 1, **losses}], evaluation, data, "adam")
    assert drawn.files == FILES
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    sizes = {}
    for name in FILES:
        with Image.open(folder / name) as image:
            assert len(image.convert("L").getcolors()) > 10  # something is on it
            sizes[name] = image.size
    return sizes


def draw_confusion(folder, names):
    """Draws the confusion picture alone, and returns its size in pixels."""
    figure = pytest.importorskip("matplotlib.figure").Figure(layout="constrained")
    counts = np.random.default_rng(0).integers(1, 300, (len(names), len(names)))
    with fonts.for_texts(names):
        plots._draw_confusion(figure, counts, names, "made up")
        plots.save(figure, folder / "confusion.png")
    with Image.open(folder / "confusion.png") as image:
        assert len(image.convert("L").getcolors()) > 10
        return image.size


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 8, 1), (12, 6, 3)], ids=["grey", "colour"])
def test_two_classes(tmp_path, shape):
    draw(tmp_path, ["healthy", "ill"], shape)


@pytest.mark.slow
def test_many_classes_get_room(tmp_path):
    few = draw_confusion(tmp_path, [str(k) for k in range(10)])
    many = draw_confusion(tmp_path, [chr(97 + k) for k in range(26)])
    assert few[0] < many[0] < 3_000


@pytest.mark.slow
def test_more_classes_than_numbers_have_room(tmp_path):
    assert draw_confusion(tmp_path, [f"class {k}" for k in range(60)])[0] < 3_000


@pytest.mark.slow
def test_any_name_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "font_files", list)  # as where no font has these
    fonts.choose.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path, ["$\\frac{$", "犬", "a name of far more letters than there is room for"])
    fonts.choose.cache_clear()


@pytest.mark.slow
def test_no_mistakes_is_a_picture_too(tmp_path):
    height = draw(tmp_path, ["a", "b"], right=1.1)["mistakes.png"][1]
    assert height < draw(tmp_path, ["a", "b"])["mistakes.png"][1]


def test_names_in_a_script_that_no_font_has_are_told(tmp_path, monkeypatch):
    fonts.choose.cache_clear()
    monkeypatch.setattr(fonts, "font_files", list)
    with fonts.for_texts(["猫 cat", "犬"]) as lacking:
        assert lacking.startswith("the pictures show boxes instead of 犬 猫:")
        assert lacking.endswith("such as Noto Sans CJK")
    fonts.choose.cache_clear()


def test_a_font_that_has_the_characters_is_found_and_drawn_with(monkeypatch):
    from matplotlib import font_manager, rcParams

    usual, listed = list(rcParams["font.family"]), list(font_manager.fontManager.ttflist)
    have = {"plain.ttf": "ab", "serif.ttf": "猫犬", "sans.ttf": "猫犬", "half.ttf": "犬鳥"}
    families = {file: f"Font {file}" for file in have} | {"sans.ttf": "A Sans"}

    def covered(file, characters):
        return families.get(file, "usual"), characters & set(have.get(file, "abc "))

    added = []
    monkeypatch.setattr(fonts, "_covered", covered)
    monkeypatch.setattr(fonts, "font_files", lambda: list(have))
    monkeypatch.setattr(font_manager.fontManager, "addfont", added.append)
    fonts.choose.cache_clear()
    with fonts.for_texts(["猫 a", "犬", "鳥", "虫"]) as lacking:
        assert rcParams["font.family"] == [*usual, "A Sans", "Font half.ttf"]
        assert "boxes instead of 虫:" in lacking
    fonts.choose.cache_clear()
    assert set(added) == {"sans.ttf", "half.ttf"}
    assert rcParams["font.family"] == usual
    assert font_manager.fontManager.ttflist == listed


def test_chinese_names_are_drawn_without_boxes(tmp_path):
    if fonts.choose(frozenset("猫犬"), ("sans-serif",)).lacking:
        pytest.skip("no installed font has Chinese characters")
    images = []
    for name in ("犬", "猫"):  # two boxes would look alike
        draw_confusion(tmp_path, [name, "a"])
        images.append((tmp_path / "confusion.png").read_bytes())
    assert images[0] != images[1]


def test_without_matplotlib_nothing_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert plots.draw(tmp_path, [], None, None, "adam").files == ()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn, by their files' names, in place of the files."""
    drawn = {}

    def save(figure, path, *_):
        drawn[path.name] = figure

    monkeypatch.setattr(plots, "save", save)
    return drawn


def rows(*losses):
    return [
        {
            "epoch": i + 1,
            "train_loss": loss,
            "test_loss": 2 * loss,
            "train_accuracy": 1 - loss / 4,
            "test_accuracy": 1 - loss / 2,
        }
        for i, loss in enumerate(losses)
    ]


@pytest.fixture
def drawn(figures, tmp_path):
    """Two classes, the second nine times as frequent; half of each is mistaken for the other."""
    labels = np.array([0] * 10 + [1] * 90, np.int32)
    predicted = np.array([0] * 5 + [1] * 5 + [0] * 45 + [1] * 45, np.int32)
    predicted[:2] = 0, 1
    confidence = np.linspace(0.5, 0.99, 100)
    images = np.arange(100, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    data = Dataset("halves", images, labels, images, labels, ("rare", "often"))
    counts = np.array([[5, 5], [45, 45]])
    evaluation = Evaluation(
        2, predicted, confidence, counts, class_scores(counts, data.class_names)
    )
    plots.draw(tmp_path, rows(0.8, 0.4), evaluation, data, "adam")
    return figures


def test_the_confusion_pictures_colours_are_shares_of_the_true_class(drawn):
    """By columns, or by all images, the two rows would have other colours."""
    (axes,) = drawn["confusion.png"].axes
    (image,) = axes.images
    colours = np.asarray(image.get_array())
    assert colours.max() == pytest.approx(colours.min())
    assert 0 < colours.max() < image.norm.vmax


def test_the_confusion_picture_has_true_classes_down_and_predicted_ones_across(drawn):
    (axes,) = drawn["confusion.png"].axes
    numbers = {text.get_position(): int(text.get_text()) for text in axes.texts}
    assert numbers == {(0, 0): 5, (1, 0): 5, (0, 1): 45, (1, 1): 45}  # (column, row)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [text.get_text() for text in ticks] == ["rare", "often"]
    assert axes.yaxis_inverted()  # the first class is on top


def test_the_mistakes_are_the_surest_with_their_own_image_and_names(drawn):
    panels = [axes for axes in drawn["mistakes.png"].axes if axes.images]
    assert len(panels) == 24
    for i, axes in enumerate(panels):
        place = 54 - i  # the last of the second class that were taken for the first
        assert (axes.images[0].get_array() == place).all()
        true, called, confidence = axes.get_title().splitlines()
        assert true == "often"
        assert called.endswith("rare")
        assert confidence == f"{np.linspace(0.5, 0.99, 100)[place]:.1%}"


def test_the_curves_are_the_rows(drawn):
    loss, accuracy = drawn["curves.png"].axes
    for axes, what in ((loss, "loss"), (accuracy, "accuracy")):
        lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
        for part in ("train", "test"):
            expected = [[row["epoch"], row[f"{part}_{what}"]] for row in rows(0.8, 0.4)]
            assert lines[part] == expected


def test_compared_curves_have_their_runs_names(figures, tmp_path):
    runs = {"a": rows(0.8, 0.4), "b": rows(0.6)}
    plots.draw_comparison(tmp_path / "curves.png", runs)
    (figure,) = figures.values()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    for handle, name in zip(legend.legend_handles, runs):
        solid = [
            line
            for line in figure.axes[0].get_lines()
            if line.get_color() == handle.get_color() and line.get_linestyle() == "-"
        ]
        tested = [[row["epoch"], row["test_loss"]] for row in runs[name]]
        assert [line.get_xydata().tolist() for line in solid] == [tested]


def test_a_single_epoch_has_whole_numbers_below_it():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    plots._draw_curves(figure, rows(0.8), "one epoch")
    for panel in figure.axes:
        assert all(float(tick).is_integer() for tick in panel.get_xticks())
