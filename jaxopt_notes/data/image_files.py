"""PNG and JPEG files as arrays of bytes, by Pillow. A file that cannot be taken is named.

What is taken as it stands: 1-bit and 8-bit grey, palettes (as colour) and 8-bit colour, as they are
stored: a camera's note on how to turn a photograph is not followed. An alpha channel that hides
nothing is dropped. What would change the picture is refused and left to its owner: real
transparency, 16 bits, CMYK.
"""

import warnings
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxopt_notes.errors import first_line

_FORMATS = ("PNG", "JPEG")  # no other of Pillow's readers is let near a file
_GREY = ("1", "L", "LA")
_COLOUR = ("P", "PA", "RGB", "RGBA")
_BIT_DEPTH = 24  # where a PNG says it


class PictureError(ValueError):
    """A file that cannot be taken as a picture; the text names it and says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{str(path)!r} {reason}")


class Header(NamedTuple):
    """What a file says of its picture before any pixel is decoded."""

    height: int
    width: int
    channels: int  # 1 or 3


def header(path: Path) -> Header:
    """Reads a picture's header.

    Raises:
      PictureError: it is no PNG or JPEG, cannot be read, is of a kind that is not taken, or claims
        more pixels than `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    try:
        # Pillow only warns of a picture that is up to twice too large.
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            deep = _has_16_bits(file)
            image = Image.open(file, formats=_FORMATS)
            width, height = image.size
            mode = image.mode
    except UnidentifiedImageError as error:
        raise PictureError(path, "is no PNG or JPEG, or broken from its first bytes on") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS:,} pixels" if Image.MAX_IMAGE_PIXELS else "is safe"
        raise PictureError(path, f"claims to hold more than {limit}; scale it down") from error
    except Exception as error:  # Pillow's readers fail in many ways
        raise _broken(path, error) from error
    if deep:
        raise PictureError(path, "has 16 bits a pixel; save it with 8")
    if mode not in _GREY + _COLOUR:
        raise PictureError(path, f"is of Pillow's mode {mode}; save it as 8-bit grey or RGB")
    return Header(height, width, 1 if mode in _GREY else 3)


def pixels(path: Path, height: int, width: int, channels: int) -> np.ndarray:
    """Decodes a picture whose header was read.

    Args:
      path: the file.
      height: rows to give; where it is not the picture's own, the picture is scaled (bilinear,
        averaging where it shrinks).
      width: columns to give, likewise.
      channels: 1, or 3, for which a grey picture is repeated.

    Returns:
      uint8 (height, width, channels).

    Raises:
      PictureError: it is broken, or transparent in places.
    """
    try:
        with path.open("rb") as file:
            image = Image.open(file, formats=_FORMATS)
            image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise _broken(path, error) from error
    if _is_transparent(image):
        raise PictureError(path, "is transparent in places; save it without an alpha channel")
    image.info.pop("transparency", None)
    picture = image.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(height, width, channels)


def _has_16_bits(file: IO[bytes]) -> bool:
    """Whether a PNG stores 16 bits a channel; Pillow cuts colour of that depth down unasked."""
    start = file.read(_BIT_DEPTH + 1)
    file.seek(0)
    return start.startswith(b"\x89PNG") and start[_BIT_DEPTH:] == b"\x10"


def _is_transparent(image: Image.Image) -> bool:
    if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
        return False
    return image.convert("RGBA").getchannel("A").getextrema() != (255, 255)


def _broken(path: Path, error: Exception) -> PictureError:
    return PictureError(path, f"cannot be read ({first_line(error)})")
