"""Picture files that belong to no set, made like the pictures of the set a network has learnt."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxopt_notes.data import image_files
from jaxopt_notes.inference import mnist_layout

DARK, LIGHT = INKS = ("dark", "light")


class Manner(NamedTuple):
    """How the set's pictures are.

    Attributes:
      shape: (height, width, channels).
      centred: whether they are digits laid out as MNIST's, light on black; of shape (28, 28, 1).
      dark_ink: whether what they show is darker than its ground.
    """

    shape: tuple[int, ...]
    centred: bool
    dark_ink: bool


class Picture(NamedTuple):
    """A picture for the network, and what it was taken to be drawn with; None if not looked at."""

    pixels: np.ndarray  # uint8 (height, width, channels)
    ink: str | None


def read(path: Path, manner: Manner, ink: str | None = None) -> Picture:
    """Reads a PNG or JPEG file of any size.

    Centred digits are cut out, scaled and laid as MNIST's makers did, and their ink is found out by
    the border's brightness where it is not told. Other pictures are scaled as those of a folder
    are, and turned into their negative only where the told ink is not the set's.

    Args:
      path: the file.
      manner: how the network's pictures are.
      ink: "dark" for dark on light, "light" for light on dark.

    Raises:
      PictureError: it is no picture, one that is not taken, or one with nothing on it.
    """
    if not manner.centred:
        height, width, channels = manner.shape
        image_files.header(path)
        pixels = image_files.pixels(path, height, width, channels)
        negative = ink is not None and (ink == DARK) != manner.dark_ink
        return Picture(255 - pixels if negative else pixels, ink)
    height, width, _ = image_files.header(path)
    pixels = image_files.pixels(path, height, width, 1)
    ink = ink or (DARK if mnist_layout.is_dark_on_light(pixels) else LIGHT)
    try:
        return Picture(mnist_layout.centre(pixels, ink == DARK), ink)
    except mnist_layout.NoInkError:
        reason = f"shows nothing {ink} that stands out from its border"
        raise image_files.PictureError(path, reason) from None
