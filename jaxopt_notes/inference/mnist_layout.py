"""Lays out a picture of one digit as MNIST's makers did.

    Scale the digit's bounding box to fit into 20×20 pixels, keep its aspect ratio, and use grey
    levels where it shrinks. Then place it in 28×28 pixels, with its centre of mass in the middle.

Ink is what differs from the border. A network trained on centred digits recognises only such
digits.

Source: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to Document
Recognition", section III A.
"""

import numpy as np
from PIL import Image
from scipy import ndimage  # JAX depends on scipy

FIELD, BOX = 28, 20
# Shares of the way from the border's brightness to the ink's; the grain of paper is below the
# first.
FAINT, FULL = 0.2, 0.7
LEAST = 32  # of 255: less contrast than this is no ink
# Two pieces of ink side by side count as two digits if the shorter piece has at least this share of
# the longer piece's side. So does ink that is wider than WIDE times its height. Of 12,000 digits of
# MNIST, 0.5 % look like several digits.
ALIKE, WIDE = 0.5, 1.7


class NoInkError(ValueError):
    """The picture shows nothing."""


def border(picture: np.ndarray) -> float:
    """The median of the outermost pixels of uint8 (height, width, channels)."""
    edges = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
    return float(np.median(np.concatenate([edge.reshape(-1) for edge in edges])))


def is_dark_on_light(picture: np.ndarray) -> bool:
    """Whether the border is in the lighter half of a picture's range of brightness.

    >>> page = np.full((9, 9, 1), 200, np.uint8)
    >>> page[4, 4] = 90
    >>> is_dark_on_light(page), is_dark_on_light(255 - page)
    (True, False)
    """
    return border(picture) > (float(picture.min()) + float(picture.max())) / 2


def centre(picture: np.ndarray, dark_ink: bool) -> np.ndarray:
    """The digit of a picture in MNIST's layout: light on black, 28×28.

    Args:
      picture: uint8 (height, width, 1).
      dark_ink: whether the digit is darker than the background.

    Returns:
      uint8 (28, 28, 1).

    Raises:
      NoInkError: nothing stands out from the border.
    """
    ink = _ink(picture[..., 0], dark_ink)
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis)) for axis in (1, 0))
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _place(_scale(cropped))[..., None]


def holds_several(picture: np.ndarray, dark_ink: bool) -> bool:
    """Whether a picture seems to hold several digits: its ink is wide, or in separate pieces.

    Args:
      picture: uint8 (height, width, 1).
      dark_ink: whether the digits are darker than the background.

    Raises:
      NoInkError: nothing stands out from the border.

    >>> bars = np.zeros((9, 9, 1), np.uint8)
    >>> bars[2:7, 2] = 255
    >>> one = holds_several(bars, dark_ink=False)
    >>> bars[2:7, 6] = 255
    >>> one, holds_several(bars, dark_ink=False)
    (False, True)
    """
    ink = _ink(picture[..., 0], dark_ink) > 0.5
    (rows, columns) = ndimage.find_objects(ink.astype(np.int8))[0]
    if _length(columns) > WIDE * _length(rows):
        return True
    labels, _ = ndimage.label(ink, np.ones((3, 3)))  # pieces also touch at corners
    pieces = ndimage.find_objects(labels)
    pieces.sort(key=lambda piece: -max(map(_length, piece)))
    if len(pieces) < 2:
        return False
    first, second = pieces[:2]
    longer, shorter = (max(map(_length, piece)) for piece in (first, second))
    apart = any(a.stop <= b.start or b.stop <= a.start for a, b in zip(first, second))
    return apart and shorter >= ALIKE * longer


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _ink(pixels: np.ndarray, dark: bool) -> np.ndarray:
    """float32 (height, width), 0 … 1: how much of each pixel is ink."""
    background, signed = border(pixels[..., None]), pixels.astype(np.float32)
    above = background - signed if dark else signed - background
    if above.max() < LEAST:
        raise NoInkError
    return np.clip((above / above.max() - FAINT) / (FULL - FAINT), 0, 1)


def _scale(ink: np.ndarray) -> np.ndarray:
    """Ink scaled to 20 pixels along its longer side."""
    height, width = (max(1, round(BOX * side / max(ink.shape))) for side in ink.shape)
    scaled = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BILINEAR))
    return scaled / scaled.max()  # because averaging makes thin strokes faint


def _place(ink: np.ndarray) -> np.ndarray:
    """uint8 (28, 28) with the ink's centre of mass on row and column 14."""
    corners = []
    for axis, side in enumerate(ink.shape):
        mass = ink.sum(1 - axis)
        middle = float(mass @ np.arange(side) / mass.sum())
        corners.append(min(max(0, round(FIELD / 2 - middle)), FIELD - side))
    top, left = corners
    field = np.zeros((FIELD, FIELD), np.uint8)
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = np.rint(255 * ink)
    return field
