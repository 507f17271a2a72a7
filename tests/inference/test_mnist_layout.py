"""Digits of any size come out as MNIST's makers had them; the oracle is MNIST itself."""

import itertools

import numpy as np
import pytest
from PIL import Image

from jaxopt_notes.data import image_files
from jaxopt_notes.inference import images, mnist_layout
from jaxopt_notes.inference.images import Style

DIGITS = Style((28, 28, 1), centred=True, dark_ink=False)


@pytest.fixture(scope="module")
def some(digits):
    return digits.test_images[::5]


def larger(digit, times):
    image = Image.fromarray(digit[..., 0])
    size = (28 * times, 28 * times)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))[..., None]


def difference(a, b):
    return np.abs(a.astype(float) - b).mean()


def box_and_middle(digit):
    """The longer side of its box, and its centre of mass."""
    ink = digit[..., 0].astype(float)
    sides, middle = [], []
    for axis in (0, 1):
        line = ink.sum(1 - axis)
        where = np.flatnonzero(line)
        sides.append(where[-1] - where[0] + 1)
        middle.append(float(line @ np.arange(28) / line.sum()))
    return max(sides), middle


def test_a_digit_of_mnist_stays_nearly_as_it_is(some):
    centred_digits = np.stack([mnist_layout.centre(digit, dark_ink=False) for digit in some])
    assert (centred_digits.shape, centred_digits.dtype) == (some.shape, np.uint8)
    assert difference(centred_digits, some) < 7
    assert difference(some, np.roll(some, 1, axis=2)) > 15  # the difference by a shift of one pixel


def test_box_and_centre_of_mass_are_those_that_all_of_mnist_has(some):
    for digit in some:
        for made in (digit, mnist_layout.centre(larger(digit, 4), dark_ink=False)):
            side, middle = box_and_middle(made)
            assert side == 20
            assert all(13.45 < m < 14.55 for m in middle)


@pytest.mark.parametrize("times", [1, 3, 10])
@pytest.mark.parametrize("dark", [True, False], ids=["dark on light", "light on dark"])
def test_size_place_and_ink_make_no_difference(some, times, dark):
    rng = np.random.default_rng(0)
    differences = []
    for digit in some[:20]:
        page = np.pad(larger(digit, times), [*rng.integers(0, 40, (2, 2)), (0, 0)])
        page = 230 - page // 2 if dark else 20 + page // 2
        assert mnist_layout.is_dark_on_light(page) == dark
        differences.append(difference(mnist_layout.centre(page, dark), digit))
    assert np.mean(differences) < 11


def test_the_grain_and_shade_of_paper_are_no_ink(some):
    rng = np.random.default_rng(0)
    for digit in some[:10]:
        page = 200 - 0.6 * np.pad(larger(digit, 4), [(50, 30), (10, 70), (0, 0)])
        page += rng.normal(0, 8, page.shape) + np.linspace(-10, 10, page.shape[1])[:, None]
        assert difference(mnist_layout.centre(page.clip(0, 255).astype(np.uint8), True), digit) < 20


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (5, 5)])
def test_what_has_no_ink_is_refused(shape):
    page = np.full((*shape, 1), 180, np.uint8)
    with pytest.raises(mnist_layout.NoInkError):
        mnist_layout.centre(page, dark_ink=True)


def test_thin_and_wide_shapes_fit():
    for shape in ((900, 3), (3, 900), (40, 40)):
        page = np.zeros((*shape, 1), np.uint8)
        page[1:-1, 1:-1] = np.eye(*(side - 2 for side in shape), dtype=np.uint8)[..., None] * 200
        picture = mnist_layout.centre(page, dark_ink=False)
        assert picture.shape == (28, 28, 1)
        assert picture.max() == 255


def test_few_digits_look_like_several_and_nearly_all_pairs_do(some):
    alone = [mnist_layout.holds_several(digit, dark_ink=False) for digit in some]
    assert np.mean(alone) <= 0.02
    for axis in (0, 1):
        pairs = [np.concatenate(pair, axis) for pair in itertools.pairwise(some)]
        verdicts = [mnist_layout.holds_several(255 - pair, dark_ink=True) for pair in pairs]
        assert np.mean(verdicts) > 0.9


def test_a_picture_without_detail_is_flagged_for_other_sets(tmp_path):
    style = Style((16, 8, 3), centred=False, dark_ink=False)
    for shade, warning in ((2, images.BLANK), (90, "")):
        page = np.full((32, 16, 1), 100, np.uint8)
        page[8:24, 4:12] += shade
        assert images.read(save(tmp_path / "x.png", page), style).warning == warning


def save(path, pixels):
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)
    return path


def test_a_coloured_file_tells_its_ink(some, tmp_path):
    page = np.repeat(255 - larger(some[0], 3), 3, axis=2)
    page[..., 2] = 255 - (255 - page[..., 2]) // 4  # blue ink
    image = images.read(save(tmp_path / "blue.png", page), DIGITS)
    assert image.ink == "dark"
    assert difference(image.pixels, some[0]) < 12


def test_told_ink_is_taken_as_told(some, tmp_path):
    file = save(tmp_path / "digit.png", larger(some[0], 2))
    assert images.read(file, DIGITS).ink == "light"
    assert difference(images.read(file, DIGITS, "light").pixels, some[0]) < 12
    with pytest.raises(image_files.PictureError, match=r"digit\.png.*nothing dark"):
        images.read(file, DIGITS, "dark")


@pytest.mark.parametrize("dark_set", [True, False])
def test_pictures_of_other_sets_are_scaled_as_a_folders_are_and_turned_only_if_told(
    tmp_path, dark_set
):
    rng = np.random.default_rng(0)
    file = save(tmp_path / "photo.png", rng.integers(0, 256, (31, 17, 3), dtype=np.uint8))
    style = Style((16, 8, 3), centred=False, dark_ink=dark_set)
    as_folder = image_files.pixels(file, 16, 8, 3)
    np.testing.assert_array_equal(images.read(file, style).pixels, as_folder)
    same, other = ("dark", "light") if dark_set else ("light", "dark")
    np.testing.assert_array_equal(images.read(file, style, same).pixels, as_folder)
    np.testing.assert_array_equal(images.read(file, style, other).pixels, 255 - as_folder)
