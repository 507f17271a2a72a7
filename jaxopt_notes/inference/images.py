"""Reads picture files as images in the style of a network's training images."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxopt_notes.data import image_files
from jaxopt_notes.data.image_files import BLACK, WHITE, Header, PictureError
from jaxopt_notes.inference import mnist_layout

DARK, LIGHT = INKS = ("dark", "light")
SEVERAL, BLANK = "several digits?", "blank?"  # warnings about a picture
_FLAT = 8  # of 255: a picture whose brightness varies less is blank


class Style(NamedTuple):
    """The look of the training set's images.

    Attributes:
      shape: (height, width, channels).
      centred: whether they are digits in MNIST's layout: light on black, shape (28, 28, 1).
      dark_ink: whether the objects are darker than the background.
    """

    shape: tuple[int, ...]
    centred: bool
    dark_ink: bool


class Picture(NamedTuple):
    """An image for the network, and how the file was read.

    Attributes:
      pixels: uint8 (height, width, channels), the image that the network sees.
      ink: whether the ink was read as dark or light; None where `read` did not decide.
      backdrop: the grey behind transparent parts.
      warning: what seems to be wrong with the picture; "" for nothing.
    """

    pixels: np.ndarray
    ink: str | None
    backdrop: int = WHITE
    warning: str = ""


def read(path: Path, style: Style, ink: str | None = None) -> Picture:
    """Reads a picture file of any size.

    For MNIST's style, `read` cuts out, scales and centres the digit as MNIST's makers did. The
    brightness of the border decides whether the ink is dark, unless `ink` says so. Transparent
    parts become white, or black where light ink would vanish. For other styles, `read` scales the
    picture like those of a folder, and inverts it only if `ink` differs from the training set's.

    Args:
      path: the file.
      style: the look of the training set's images.
      ink: "dark" for dark on light, "light" for light on dark; None if unknown.

    Raises:
      PictureError: the file is not a picture, its kind is unsupported, or it should show a digit
        but is blank.
    """
    header = image_files.header(path)
    if style.centred:
        return _digit(path, header, ink)
    height, width, channels = style.shape
    pixels = image_files.pixels(path, height, width, channels)
    warning = BLANK if np.ptp(pixels) < _FLAT else ""
    negative = ink is not None and (ink == DARK) != style.dark_ink
    return Picture(255 - pixels if negative else pixels, ink, WHITE, warning)


def _digit(path: Path, header: Header, asked: str | None) -> Picture:
    for backdrop in {None: (WHITE, BLACK), DARK: (WHITE,), LIGHT: (BLACK,)}[asked]:
        page = image_files.pixels(path, header.height, header.width, 1, backdrop)
        ink = asked or (DARK if mnist_layout.is_dark_on_light(page) else LIGHT)
        try:
            pixels = mnist_layout.centre(page, ink == DARK)
        except mnist_layout.NoInkError:
            continue
        several = mnist_layout.holds_several(page, ink == DARK)
        return Picture(pixels, ink, backdrop, SEVERAL if several else "")
    reason = f"seems blank: nothing{f' {asked}' if asked else ''} stands out from its border"
    raise PictureError(path, reason)


def original(path: Path, backdrop: int, longest: int) -> np.ndarray:
    """A file's original picture, upright and small enough to be shown.

    Args:
      path: a file that `read` has read.
      backdrop: the grey behind transparent parts.
      longest: most pixels on its longer side.

    Returns:
      uint8 (height, width, 3).
    """
    header = image_files.header(path)
    scale = min(1.0, longest / max(header.height, header.width))
    height, width = (max(1, round(side * scale)) for side in header[:2])
    return image_files.pixels(path, height, width, 3, backdrop)
