"""A picture of one digit, of any size, as MNIST's makers laid theirs out.

    The digit's box is scaled to fit into 20×20 pixels, its shape kept, in greys where it shrinks;
    then it is laid into 28×28 pixels so that its centre of mass is theirs.

Ink is what differs from the border. A network of digits in the middle knows no others.

Source: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to Document
Recognition", section III A.
"""

import numpy as np
from PIL import Image

FIELD, BOX = 28, 20
# Shares of the way from the border's brightness to the ink's: paper's grain lies below the first.
FAINT, FULL = 0.2, 0.7
LEAST = 32  # of 255: less contrast than this is no ink


class NoInkError(ValueError):
    """A picture without anything on it."""


def border(picture: np.ndarray) -> float:
    """The median of the outermost pixels of uint8 (height, width, channels)."""
    edges = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
    return float(np.median(np.concatenate([edge.reshape(-1) for edge in edges])))


def is_dark_on_light(picture: np.ndarray) -> bool:
    """Whether a picture's border is on the light side of its range of brightness.

    >>> page = np.full((9, 9, 1), 200, np.uint8)
    >>> page[4, 4] = 90
    >>> is_dark_on_light(page), is_dark_on_light(255 - page)
    (True, False)
    """
    return border(picture) > (float(picture.min()) + float(picture.max())) / 2


def centre(picture: np.ndarray, dark_ink: bool) -> np.ndarray:
    """The digit of a picture as MNIST has them: light on black, 28×28.

    Args:
      picture: uint8 (height, width, 1).
      dark_ink: whether the digit is darker than the ground.

    Returns:
      uint8 (28, 28, 1).

    Raises:
      NoInkError: nothing stands out from the border.
    """
    ink = _ink(picture[..., 0], dark_ink)
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis)) for axis in (1, 0))
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _lay(_scale(cropped))[..., None]


def _ink(pixels: np.ndarray, dark: bool) -> np.ndarray:
    """float32 (height, width), 0 … 1: how much of each pixel is ink."""
    ground, signed = border(pixels[..., None]), pixels.astype(np.float32)
    above = ground - signed if dark else signed - ground
    if above.max() < LEAST:
        raise NoInkError
    return np.clip((above / above.max() - FAINT) / (FULL - FAINT), 0, 1)


def _scale(ink: np.ndarray) -> np.ndarray:
    """The same shape, 20 pixels along its longer side."""
    height, width = (max(1, round(BOX * side / max(ink.shape))) for side in ink.shape)
    scaled = Image.fromarray(ink).resize((width, height), Image.Resampling.BILINEAR)
    found = np.asarray(scaled)
    return found / found.max()  # thin strokes are left faint by the averaging


def _lay(ink: np.ndarray) -> np.ndarray:
    """uint8 (28, 28) of ink whose centre of mass comes to lie on row and column 14."""
    corners = []
    for axis, side in enumerate(ink.shape):
        mass = ink.sum(1 - axis)
        middle = float(mass @ np.arange(side) / mass.sum())
        corners.append(min(max(0, round(FIELD / 2 - middle)), FIELD - side))
    top, left = corners
    field = np.zeros((FIELD, FIELD), np.uint8)
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = np.rint(255 * ink)
    return field
