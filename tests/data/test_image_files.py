"""Picture files of all kinds become the pixels that a person sees."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from jaxopt_notes.data import image_files

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def read(path, channels=None, **options):
    header = image_files.header(path)
    return image_files.pixels(path, *header[:2], channels or header.channels, **options)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png(samples: np.ndarray, *before: tuple[bytes, bytes]) -> bytes:
    """A PNG of 16 bits a channel, which Pillow does not write in colour."""
    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = ((b"IHDR", header), *before, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


@pytest.mark.parametrize("orientation", range(1, 10))
@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
def test_exif_orientation_is_followed(tmp_path, form, orientation):
    file, exif = tmp_path / f"photo.{form}", Image.Exif()
    exif[0x0112] = orientation  # 9 stands for nothing
    options = {"quality": 95} if form == "jpeg" else {"lossless": True} if form == "webp" else {}
    Image.fromarray(COLOUR).save(file, exif=exif, **options)
    header = image_files.header(file)
    with Image.open(file) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert header[:2] == expected.shape[:2]
    assert header.turned == (1 < orientation < 9)
    np.testing.assert_array_equal(read(file), expected)


def test_an_orientation_after_the_pixels_is_found(tmp_path):
    """Where ExifTool writes it."""
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(stream, "PNG")
    content = stream.getvalue()
    end = len(content) - 12
    tag = png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    (tmp_path / "x.png").write_bytes(content[:end] + tag + content[end:])
    np.testing.assert_array_equal(read(tmp_path / "x.png"), np.rot90(COLOUR, -1))


def test_broken_exif_is_no_hindrance(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "x.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    np.testing.assert_array_equal(read(tmp_path / "x.png"), COLOUR)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "key"])
@pytest.mark.parametrize("backdrop", [255, 0])
def test_what_is_transparent_is_laid_on_a_backdrop(tmp_path, mode, backdrop):
    file = tmp_path / "x.png"
    clear = GREY < 100
    if mode == "key":
        base = np.where(clear, 7, np.maximum(GREY, 8))
        Image.fromarray(base).save(file, transparency=7)
    else:
        alpha = Image.fromarray(np.where(clear, 0, 255).astype(np.uint8))
        image = Image.fromarray(GREY)
        image.putalpha(alpha)
        image = image.convert("RGBA") if mode != "LA" else image
        image = image.quantize(256) if mode == "P" else image
        image.save(file)
        base = np.asarray(image.convert("RGBA"))[..., 0]
    expected = np.where(clear, backdrop, base)
    np.testing.assert_array_equal(read(file, 1, backdrop=backdrop)[..., 0], expected)


def test_half_transparent_is_half_backdrop(tmp_path):
    Image.new("RGBA", (4, 4), (100, 0, 200, 128)).save(tmp_path / "x.png")
    assert np.abs(read(tmp_path / "x.png") - np.array([177.0, 127, 227])).max() <= 1


def test_an_alpha_channel_that_hides_nothing_changes_nothing(tmp_path):
    image = Image.fromarray(COLOUR)
    image.putalpha(255)
    image.save(tmp_path / "x.png")
    np.testing.assert_array_equal(read(tmp_path / "x.png"), COLOUR)


@pytest.mark.parametrize("form", ["webp", "bmp", "gif", "tiff", "ppm"])
def test_the_formats(tmp_path, form):
    file = tmp_path / f"x.{form}"
    image = Image.fromarray(GREY).convert("L" if form == "gif" else "RGB")
    image.save(file, **({"lossless": True} if form == "webp" else {}))
    if form == "ppm":
        with pytest.raises(image_files.PictureError, match=r"x\.ppm' is not a PNG, JPEG"):
            read(file)
    else:
        np.testing.assert_array_equal(read(file, 1)[..., 0], GREY)


@pytest.mark.parametrize("form", ["gif", "webp", "png"])
def test_of_several_frames_the_first_is_taken(tmp_path, form):
    frames = [Image.fromarray(np.full((6, 8), grey, np.uint8)).convert("RGB") for grey in (50, 200)]
    options = {"lossless": True} if form == "webp" else {}
    frames[0].save(tmp_path / f"x.{form}", save_all=True, append_images=frames[1:], **options)
    assert (read(tmp_path / f"x.{form}") == 50).all()


def test_a_phones_mpo_is_read(tmp_path):
    image = Image.fromarray(COLOUR)
    image.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[image], quality=95)
    with Image.open(tmp_path / "x.jpg") as opened:
        assert opened.format == "MPO"
        expected = np.asarray(opened.convert("RGB"))
    np.testing.assert_array_equal(read(tmp_path / "x.jpg"), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_of_16_bits_the_upper_8_are_taken(tmp_path, channels):
    samples = RNG.integers(0, 65536, (6, 8, channels), dtype=np.uint16)
    if channels in (2, 4):
        samples[..., -1] = 65535
    (tmp_path / "x.png").write_bytes(deep_png(samples))
    expected = samples[..., : channels - (channels in (2, 4))] >> 8
    pixels = read(tmp_path / "x.png", expected.shape[-1])
    np.testing.assert_array_equal(pixels, expected)


def test_a_key_colour_of_16_bits(tmp_path):
    samples = RNG.integers(0, 65536, (6, 8, 1), dtype=np.uint16)
    key = samples[2, 3, 0]
    (tmp_path / "x.png").write_bytes(deep_png(samples, (b"tRNS", struct.pack(">H", key))))
    expected = np.where(samples == key, 255, samples >> 8)
    np.testing.assert_array_equal(read(tmp_path / "x.png"), expected)


def test_cmyk_and_bilevel(tmp_path):
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    cyan.save(tmp_path / "x.jpg", quality=95)
    assert np.abs(read(tmp_path / "x.jpg") - np.array([0.0, 255, 255])).max() < 10
    bits = GREY > 127
    Image.fromarray(bits).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read(tmp_path / "x.png")[..., 0], np.where(bits, 255, 0))


def test_progressive_jpegs_and_colour_profiles_are_read(tmp_path):
    image = Image.fromarray(np.repeat(np.repeat(COLOUR, 8, 0), 8, 1))
    image.save(tmp_path / "a.jpg", quality=95)
    image.save(tmp_path / "b.jpg", quality=95, progressive=True, icc_profile=b"no profile")
    np.testing.assert_array_equal(read(tmp_path / "a.jpg"), read(tmp_path / "b.jpg"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC or AVIF picture; convert it to JPEG"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "is a HEIC or AVIF picture; convert it to JPEG"),
        (b"", "is not a PNG, JPEG"),
        (b"<svg></svg>", "is not a PNG, JPEG"),
        ("half", "cannot be read .* remove it"),
    ],
)
def test_what_is_no_picture_is_one_line_with_its_name(tmp_path, content, words):
    if content == "half":
        Image.fromarray(COLOUR).resize((99, 99)).save(tmp_path / "whole.jpg")
        content = (tmp_path / "whole.jpg").read_bytes()[:-900]
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(image_files.PictureError, match=rf"photo\.jpg' {words}") as caught:
        read(tmp_path / "photo.jpg")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(image_files.PictureError, match="is a folder; pass the pictures in it"):
        image_files.header(tmp_path)
