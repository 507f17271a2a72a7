"""Reads picture files as images like those that a network was trained on."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxopt_notes.data import image_files
from jaxopt_notes.inference import mnist_layout

DARK, LIGHT = INKS = ("dark", "light")


class Style(NamedTuple):
    """What the images of the training set look like.

    Attributes:
      shape: (height, width, channels).
      centred: whether they are digits laid out like MNIST's: light on black, shape (28, 28, 1).
      dark_ink: whether the objects are darker than the background.
    """

    shape: tuple[int, ...]
    centred: bool
    dark_ink: bool


class Picture(NamedTuple):
    """An image for the network, and whether its ink was read as dark or light."""

    pixels: np.ndarray  # uint8 (height, width, channels)
    ink: str | None  # None: not determined


def read(path: Path, style: Style, ink: str | None = None) -> Picture:
    """Reads a PNG or JPEG file of any size.

    A digit in MNIST's style is cut out, scaled and centred as MNIST's makers did. The brightness of
    the border decides its ink unless `ink` does. Any other picture is scaled like those of a
    folder, and inverted only if `ink` differs from the training set's.

    Args:
      path: the file.
      style: what the images of the training set look like.
      ink: "dark" for dark on light, "light" for light on dark; None if unknown.

    Raises:
      PictureError: the file is no picture, of an unsupported kind, or shows nothing.
    """
    if not style.centred:
        height, width, channels = style.shape
        image_files.header(path)
        pixels = image_files.pixels(path, height, width, channels)
        negative = ink is not None and (ink == DARK) != style.dark_ink
        return Picture(255 - pixels if negative else pixels, ink)
    height, width, _ = image_files.header(path)
    pixels = image_files.pixels(path, height, width, 1)
    ink = ink or (DARK if mnist_layout.is_dark_on_light(pixels) else LIGHT)
    try:
        return Picture(mnist_layout.centre(pixels, ink == DARK), ink)
    except mnist_layout.NoInkError:
        reason = f"shows nothing {ink} that stands out from its border"
        raise image_files.PictureError(path, reason) from None
