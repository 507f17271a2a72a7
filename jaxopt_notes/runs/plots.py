"""Draws runs, where matplotlib is installed.

A run gets curves.png, confusion.png and mistakes.png, and watch.png where its optimizer was
watched. A comparison of runs draws their curves over each other.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes import files
from jaxopt_notes.data import Dataset
from jaxopt_notes.extras import installed, require
from jaxopt_notes.runs import fonts, watch_picture
from jaxopt_notes.training.evaluation import Evaluation, worst_mistakes

MISTAKES = 24
_ACROSS = 6
_COUNTED = 40  # classes: with more, a cell has no room for its number
_CELL = 0.45  # inches: room for a number of four digits


class Drawn(NamedTuple):
    """The names of the files, and a line on characters that no installed font has; "" for none."""

    files: tuple[str, ...]
    lacking: str


def draw(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    evaluation: Evaluation,
    data: Dataset,
    optimizer: str,
) -> Drawn:
    """Draws all pictures of a run into its folder; none where matplotlib is not installed."""
    if not installed("matplotlib.figure"):
        return Drawn((), "")
    from matplotlib.figure import Figure

    with fonts.for_texts((data.name, *data.class_names)) as lacking:
        figures = {
            "curves.png": Figure(figsize=(9, 3.6), layout="constrained"),
            "confusion.png": Figure(layout="constrained"),
            "mistakes.png": Figure(layout="constrained"),
        }
        curves, confusion, mistakes = figures.values()
        accuracy = f"{rows[-1]['test_accuracy']:.2%} of the test set right"
        _draw_curves(curves, rows, f"{optimizer} on {data.name}: {accuracy}")
        title = f"{data.name}: {accuracy}"
        _draw_confusion(confusion, evaluation.confusion, data.class_names, title)
        _draw_mistakes(mistakes, evaluation, data)
        if any("watch" in row for row in rows):
            figures["watch.png"] = Figure(layout="constrained")
            title = f"{optimizer} on {data.name}: last measured step of each epoch"
            watch_picture.draw(figures["watch.png"], rows, title)
        for name, figure in figures.items():
            save(figure, folder / name)
    return Drawn(tuple(figures), lacking)


def save(figure: Any, path: Path, title: str | None = None) -> None:
    """Writes a figure as a .png, with a title in its metadata."""
    with warnings.catch_warnings(), files.open_whole(path) as file:
        # matplotlib warns of characters that no font has; `fonts` has reported them already.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(file, dpi=150, format="png", metadata={"Title": title})


def draw_comparison(path: Path, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Draws the curves of several runs over each other: test solid, training dashed.

    Args:
      path: the file, a .png.
      runs: each run's rows by its name; at least one row each.

    Returns:
      A line on characters that no installed font has; "" where there are none.

    Raises:
      MissingExtraError: matplotlib is not installed.
    """
    require("draw_comparison", "plots")
    with fonts.for_texts(runs) as lacking:
        save(_comparison(runs), path)
    return lacking


def _comparison(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Any:
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    columns = math.ceil(len(runs) / math.ceil(len(runs) / 4))
    figure = Figure(figsize=(9, 3.6 + 0.25 * math.ceil(len(runs) / columns)), layout="constrained")
    panels = _curve_panels(figure)
    few = len(runs) <= 10
    for i, rows in enumerate(runs.values()):
        color = colormaps["tab10"](i) if few else colormaps["viridis"](i / (len(runs) - 1))
        _plot_curves(panels, rows, [("train", "--"), ("test", "o-")], color=color)
    tested = panels[0].get_lines()[1::2]
    legend = figure.legend(
        tested, map(str, range(len(runs))), loc="outside lower center", ncols=columns
    )
    # Set the names afterwards, because matplotlib leaves out a label that begins with "_".
    for text, name in zip(legend.get_texts(), runs):
        text.set_parse_math(False)
        text.set_text(short(name, 40))
    figure.suptitle("test, and training dashed")
    return figure


def _draw_curves(figure: Any, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draws loss and accuracy over the epochs."""
    panels = _curve_panels(figure)
    _plot_curves(panels, rows, [("train", "o--"), ("test", "o-")])
    panels[1].legend(loc="lower right")
    figure.suptitle(title, parse_math=False)


def _curve_panels(figure: Any) -> Any:
    """Makes a panel for the loss and a panel for the accuracy, over the epochs."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    panels = figure.subplots(1, 2)
    for panel in panels:
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("cross-entropy (nats)")
    panels[0].set_yscale("log")
    panels[1].set_ylabel("accuracy")
    panels[1].yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))
    return panels


def _plot_curves(
    panels: Any, rows: Sequence[Mapping[str, Any]], parts: Sequence[tuple[str, str]], **style: Any
) -> None:
    epochs = [row["epoch"] for row in rows]
    for panel, what in zip(panels, ("loss", "accuracy")):
        for part, line in parts:
            values = [row[f"{part}_{what}"] for row in rows]
            panel.plot(epochs, values, line, markersize=4, label=part, **style)


def _draw_confusion(figure: Any, counts: np.ndarray, names: Sequence[str], title: str) -> None:
    """Draws a confusion matrix: counts as numbers, shares of the true class as colours."""
    classes = len(names)
    cell = min(max(_CELL, 2.5 / classes), 16 / classes)  # inches
    figure.set_size_inches(*[cell * classes + 2.0] * 2)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # On a linear scale a few mistakes would look as white as none; the square root shows them.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1.1)
    if classes <= _COUNTED:
        size = 9 if counts.max() < 1_000 else 7
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if shares[row, column] > 0.4 else "black"
                axes.text(column, row, count, ha="center", va="center", color=color, fontsize=size)
    labels = [short(name) for name in names]
    letters = 10.0 if classes <= _COUNTED else max(2.5, 400 / classes)
    upright = max(map(len, labels)) > 10 * cell
    axes.set_xticks(range(classes), labels, rotation=90 if upright else 0, parse_math=False)
    axes.set_yticks(range(classes), labels, parse_math=False)
    axes.tick_params(labelsize=letters, length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, parse_math=False)


def _draw_mistakes(figure: Any, evaluation: Evaluation, data: Dataset) -> None:
    """Draws the wrong predictions that the network was most confident of."""
    wrong = int((evaluation.predicted != data.test_labels).sum())
    shown = worst_mistakes(evaluation, data.test_labels, MISTAKES)
    down = max(1, math.ceil(len(shown) / _ACROSS))
    height, width = data.test_images.shape[1:3]
    tile = 0.6 + 1.5 * min(height / width, 2) if wrong else 0.1
    figure.set_size_inches(1.5 * _ACROSS, tile * down + 0.5)
    title = f"the {len(shown)} most confident of {wrong:,} mistakes" if wrong else "no mistakes"
    figure.suptitle(f"{data.name}: {title}", parse_math=False)
    panels = figure.subplots(down, _ACROSS, squeeze=False).ravel()
    for panel in panels:
        panel.axis("off")
    for panel, i in zip(panels, shown):
        image = data.test_images[i]
        if image.shape[-1] == 1:
            panel.imshow(image[..., 0], cmap="gray", vmin=0, vmax=255)
        else:
            panel.imshow(image)
        true = short(data.class_names[data.test_labels[i]])
        predicted = short(data.class_names[evaluation.predicted[i]], 12)
        text = f"{true}\npredicted {predicted}\n{evaluation.confidence[i]:.1%}"
        panel.set_title(text, fontsize=8, parse_math=False)


def short(name: str, longest: int = 16) -> str:
    """A name, cut to the room that there is."""
    return name if len(name) <= longest else name[: longest - 1] + "…"
