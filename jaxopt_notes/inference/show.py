"""Draws what a network saw of each picture file, and the network's answer."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxopt_notes.extras import require
from jaxopt_notes.runs import fonts, plots

MOST = 60  # pictures: more would be illegible and slow to draw
SIDE = 240  # most pixels on a side of a file's own picture
_ACROSS = 4
_TITLE = "jaxopt_notes.predict"  # in the file's metadata: marks a picture that we may overwrite


class Shown(NamedTuple):
    """A picture file and the network's answer.

    Attributes:
      name: the file's name.
      original: uint8 (height, width, 3), the file's own picture.
      seen: uint8 (height, width, channels), what the network saw.
      answer: the class.
      probability: the network's probability for that class.
      note: what is doubtful; "" for nothing.
    """

    name: str
    original: np.ndarray
    seen: np.ndarray
    answer: str
    probability: float
    note: str


def draw(path: Path, pictures: Sequence[Shown]) -> str:
    """Draws pictures, each beside what the network saw of it.

    Args:
      path: the file, a .png.
      pictures: at least one and at most `MOST` pictures.

    Returns:
      A line on characters that no installed font has; "" where there are none.

    Raises:
      MissingExtraError: matplotlib is not installed.
    """
    require("--show", "plots")
    from matplotlib.figure import Figure

    across = min(_ACROSS, len(pictures))
    down = math.ceil(len(pictures) / across)
    with fonts.for_texts([text for one in pictures for text in (one.name, one.answer)]) as lacking:
        figure = Figure(figsize=(max(3.2 * across, 4.5), 2.3 * down + 0.6), layout="constrained")
        figure.suptitle("the picture, and the network's input", fontsize=10)
        panels = figure.subplots(down, 2 * across, squeeze=False).reshape(-1, 2)
        for pair in panels:
            for panel in pair:
                panel.axis("off")
        for (left, right), one in zip(panels, pictures):
            _show(left, one.original, plots.short(one.name, 18))
            note = f", {one.note}" if one.note else ""
            answer = f"{plots.short(one.answer)}\n{one.probability:.1%}{note}"
            _show(right, one.seen, answer)
        plots.save(figure, path, _TITLE)
    return lacking


def is_ours(path: Path) -> bool:
    """Whether a file is a picture that `draw` has drawn."""
    try:
        with Image.open(path) as image:
            return image.info.get("Title") == _TITLE
    except (OSError, ValueError):
        return False


def _show(panel: object, image: np.ndarray, title: str) -> None:
    image = image[..., 0] if image.shape[-1] == 1 else image
    panel.imshow(image, cmap="gray", vmin=0, vmax=255)  # type: ignore[attr-defined]
    panel.set_title(title, fontsize=8, parse_math=False)  # type: ignore[attr-defined]
