"""Pictures in Chinese and on dark pages; all from the files in the repository, none drawn anew."""

import itertools
import re
from pathlib import Path

import pytest

from jaxopt_notes.studies import pictures, study, style
from tests.studies.browser import Browser

REPORT = Path(__file__).parents[2] / "docs" / "studies"
IN_CHINESE = [name for name in study.names() if study.about(name).texts]
# Words that Chinese texts write in Latin letters; single letters are mathematics.
NAMES = {
    *("SGD", "AdaGrad", "RMSProp", "Adam", "AdamW", "Polyak", "Goh", "ReLU", "softmax", "MNIST"),
    *("optax", "torch", "Keras", "TensorFlow", "logits", "nat", "one", "hot", "log"),
    *("He", "LeCun", "sigmoid", "dropout", "SWATS", "ECE", "NLL"),
}


def svg(name: str, ending: str = "svg") -> str:
    return (REPORT / name / f"picture.{ending}").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", IN_CHINESE)
def test_every_text_of_a_picture_has_its_chinese(name: str) -> None:
    english = svg(name)
    chinese = pictures.translated(english, study.about(name).texts)
    left = {word for text in pictures.texts(chinese) for word in re.findall("[A-Za-z]{2,}", text)}
    assert left <= NAMES
    assert len(pictures.texts(english)) > 5
    assert svg(name, "zh.svg") == chinese, "run `python -m jaxopt_notes.studies report`"


@pytest.mark.parametrize("name", IN_CHINESE)
def test_every_chinese_text_has_its_place(name: str) -> None:
    """A key that matches no text of the picture is left over from an older picture."""
    written = pictures.texts(svg(name))
    for key in study.about(name).texts:
        pattern = re.escape(key).replace(r"\{\}", ".+")
        assert any(re.fullmatch(pattern, text) for text in written), key


def test_what_varies_stays_and_what_has_no_chinese_too() -> None:
    picture = "<svg a='1'><text x='1'> 52 steps </text><text>a &lt; b</text><path/></svg>"
    chinese = pictures.translated(picture, {"{} steps": "{} 步"})
    assert chinese == (
        "<svg xml:lang=\"zh-CN\" a='1'><text x='1'>52 步</text><text>a &lt; b</text><path/></svg>"
    )
    assert pictures.translated("<text>1 of 3</text>", {"{} of {}": "{1} 中的 {0}"}) == (
        "<text>3 中的 1</text>"
    )


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def dark_colours(text: str) -> dict[str, str]:
    """A picture's colours on a dark page, by what they are on a light one."""
    return dict(re.findall(r'="((?:fill|stroke): #\w+)"\] { (?:fill|stroke): (#\w+)', text))


@pytest.mark.parametrize("name", IN_CHINESE)
def test_letters_and_lines_stand_out_on_a_dark_page(name: str) -> None:
    """Letters by 4.5, as WCAG asks; lines in an optimizer's colour by 3."""
    text = svg(name)
    dark = dark_colours(text)
    assert dark["fill: #ffffff"] == style.DARK_PAGE
    letters = set(re.findall(r"<(?:text|tspan)[^>]*(fill: #\w+)", text))
    assert letters
    for colour in letters - {"fill: #ffffff", "fill: #000000", "fill: #f0f0f0"}:  # on a fill
        assert contrast(dark[colour], style.DARK_PAGE) > 4.5, colour
    lines = set(re.findall(r"stroke: (#\w+)", text)) & {c.lower() for c in style.COLOURS.values()}
    for colour in lines:
        assert contrast(dark[f"stroke: {colour}"], style.DARK_PAGE) > 3, colour


def test_the_dark_colours_are_those_of_the_code() -> None:
    pytest.importorskip("matplotlib", reason="the colours need matplotlib")
    for name in IN_CHINESE:
        for light, dark in dark_colours(svg(name)).items():
            assert style.on_dark(light.split()[1]) == dark, (name, light)


def test_a_heat_map_keeps_its_colours_and_the_letters_on_it() -> None:
    pytest.importorskip("matplotlib", reason="the colours need matplotlib")
    assert style.on_dark("#21918c") is None
    assert style.on_dark("#000000") is None
    sheet = pictures.for_dark_pages(
        '<style type="text/css"></style><path style="fill: #21918c; stroke: #ffffff"/>'
        '<text style="fill: #ffffff">1</text>'
    )
    assert "#21918c }" not in sheet
    assert "path[style*=" in sheet
    assert '\n[style*="fill: #ffffff"]' not in sheet


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["svg", "zh.svg"])
@pytest.mark.parametrize("name", IN_CHINESE)
def test_a_browser_shows_texts_whole_and_apart(name: str, ending: str, browser: Browser) -> None:
    browser.open(REPORT / name / f"picture.{ending}", 720)
    written = browser.evaluate(
        "[...document.querySelectorAll('text:not(:has(tspan))')].map((text) => ["
        "text.textContent.trim(),"
        "(({ left, right, top, bottom }) => [left, right, top, bottom])"
        "(text.getBoundingClientRect())])"
    )
    width, height = browser.evaluate(
        "(({ right, bottom }) => [right, bottom])(document.rootElement.getBoundingClientRect())"
    )
    for what, (left, right, top, bottom) in written:
        assert -1 <= left <= right <= width + 1, what
        assert -1 <= top <= bottom <= height + 1, what
    for (one, a), (other, b) in itertools.combinations(written, 2):
        wide, high = min(a[1], b[1]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[2], b[2])
        smaller = min((box[1] - box[0]) * (box[3] - box[2]) for box in (a, b))
        assert max(wide, 0) * max(high, 0) <= 0.1 * smaller, (one, other)
