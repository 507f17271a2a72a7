"""Reads picture files as uint8 arrays with Pillow. Errors name the file.

It reads PNG, JPEG (also MPO, which phones write), WebP, BMP, GIF and TIFF, and the first frame of
several. A photograph is turned upright by its EXIF orientation. Transparent parts get a plain
backdrop. Of 16 bits per channel the upper 8 are used, CMYK becomes RGB, and colour profiles are
ignored.
"""

import contextlib
import warnings
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from jaxopt_notes.errors import first_line

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    *(".webp", ".bmp", ".gif", ".tif", ".tiff"),
)
WHITE, BLACK = 255, 0

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow's other readers are never used
_GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N")
_COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_PNG = b"\x89PNG"
# The entries that may hold a PNG's orientation; their chunks may follow the pixels.
_PNG_EXIF = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
# The brands of files that phones write and that not every Pillow reads.
_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
# EXIF's orientations: how to turn the stored picture. 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(ValueError):
    """A file cannot be read as a picture; the text names the file and the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{str(path)!r} {reason}")


class Header(NamedTuple):
    """The facts about a picture that its header gives."""

    height: int  # of the upright picture
    width: int
    channels: int  # 1 or 3
    turned: bool  # whether the EXIF orientation says to turn the stored picture


def header(path: Path) -> Header:
    """Reads a picture's header.

    Raises:
      PictureError: the file is not a picture, cannot be read, is of an unsupported kind, or claims
        more pixels than `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    if path.is_dir():
        raise PictureError(path, "is a folder; pass the pictures in it")
    try:
        # Pillow only warns of a picture with up to twice too many pixels; make it an error.
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # warnings of odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            start = file.read(12)
            may_be_turned = not start.startswith(_PNG) or _holds(file, _PNG_EXIF)
            file.seek(0)
            image = Image.open(file, formats=_FORMATS)
            orientation = _orientation(image) if may_be_turned else 1
            width, height = _size(image, orientation)
            mode, form = image.mode, image.format
    except UnidentifiedImageError as error:
        if start[4:8] == b"ftyp" and start[8:12] in _HEIC:
            raise PictureError(path, "is a HEIC or AVIF picture; convert it to JPEG") from None
        reason = "is not a PNG, JPEG, WebP, BMP, GIF or TIFF, or its first bytes are damaged"
        raise PictureError(path, f"{reason}; convert or remove it") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS:,} pixels" if Image.MAX_IMAGE_PIXELS else "is safe"
        raise PictureError(path, f"claims to hold more than {limit}; scale it down") from error
    except FileNotFoundError as error:
        raise PictureError(path, "does not exist; check its name") from error
    except Exception as error:  # Pillow's readers raise many kinds of errors
        raise _broken(path, error) from error
    if mode == "I" and form == "PNG":
        mode = "I;16"  # as older versions of Pillow open it
    if mode not in _GREY + _COLOUR:
        raise PictureError(path, f"has Pillow's mode {mode}; save it as 8-bit grey or RGB")
    return Header(height, width, 1 if mode in _GREY else 3, orientation != 1)


def pixels(path: Path, height: int, width: int, channels: int, backdrop: int = WHITE) -> np.ndarray:
    """Decodes a picture whose header was read.

    Args:
      path: the file.
      height: rows of the result; a picture of another height is scaled (bilinear, averaging where
        it shrinks).
      width: columns of the result; scaled like the height.
      channels: 1 or 3; 3 repeats the channel of a grey picture.
      backdrop: the grey, 0 … 255, behind transparent parts.

    Returns:
      uint8 (height, width, channels).

    Raises:
      PictureError: the file is broken.
    """
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # of odd metadata
            image = Image.open(file, formats=_FORMATS)
            image.load()
            orientation = _orientation(image)
            picture = _opaque(_eight_bits(image, backdrop), backdrop)
            picture = picture.convert("L" if channels == 1 else "RGB")
    except MemoryError:
        raise
    except Exception as error:
        raise _broken(path, error) from error
    if orientation in _TURNS:
        picture = picture.transpose(_TURNS[orientation])
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(height, width, channels)


def _holds(file: IO[bytes], words: tuple[bytes, ...]) -> bool:
    content = file.read()
    return any(word in content for word in words)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 … 8; 1 where there is none or the EXIF data are broken."""
    with contextlib.suppress(Exception):
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        return int(orientation) if orientation in _TURNS else 1
    return 1


def _size(image: Image.Image, orientation: int) -> tuple[int, int]:
    """Width and height of the upright picture."""
    if orientation < 5:
        return image.size
    if image.format == "TIFF":  # Pillow turns a TIFF by itself when it decodes it
        image.load()
        return image.size
    height, width = image.size
    return width, height


def _eight_bits(image: Image.Image, backdrop: int) -> Image.Image:
    """A 16-bit grey picture reduced to 8 bits; any other picture unchanged."""
    if not image.mode.startswith("I"):
        return image
    deep = np.asarray(image)
    grey = (deep >> 8).astype(np.uint8)
    if (hidden := image.info.get("transparency")) is not None:
        grey[deep == hidden] = backdrop
    return Image.fromarray(grey)


def _opaque(image: Image.Image, backdrop: int) -> Image.Image:
    """The picture on a plain backdrop; unchanged where nothing is transparent."""
    if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
        return image
    seen = image.convert("RGBA")
    if seen.getchannel("A").getextrema() == (255, 255):
        image.info.pop("transparency", None)
        return image
    laid = Image.new("RGBA", seen.size, (backdrop, backdrop, backdrop, 255))
    laid.alpha_composite(seen)
    return laid.convert("RGB")


def _broken(path: Path, error: Exception) -> PictureError:
    return PictureError(path, f"cannot be read ({first_line(error)}); replace or remove it")
