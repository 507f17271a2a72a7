"""A study's picture as files: PNG, SVG and, where the study has `texts`, the SVG in Chinese.

An SVG's letters stay text, so a reader can search and copy them. They show in DejaVu Sans where it
is installed, else in the fonts that FONTS names, which are no wider; Chinese in the system's own
font. No font is bundled, and drawing needs none beyond matplotlib's. The PNG is English only.

The Chinese file is the English one with other letters in the same places: `translated`. Both carry
their colours for dark pages, which a browser applies by itself: `for_dark_pages`.
"""

import html
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

from jaxopt_notes.studies import style
from jaxopt_notes.studies.study import Measured

FONTS = (
    '"DejaVu Sans", Verdana, "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", '
    "sans-serif"
)
_TEXT = re.compile(r"(<text\b[^>]*>)([^<]+)(</text>)")
_FONT = "font-family: 'DejaVu Sans'; "
_STYLE = '<style type="text/css">'


def drawn(
    draw: Callable[[Any, Measured], None], measured: Measured, chinese: Mapping[str, str]
) -> dict[str, bytes]:
    """A study's picture: its files by what follows `picture.` in their names."""
    import matplotlib
    from matplotlib.figure import Figure

    files = {}
    with matplotlib.rc_context(style.RC):
        figure = Figure(figsize=(style.WIDTH, 3.6), layout="constrained")
        draw(figure, measured)
        for kind in ("png", "svg"):
            content = io.BytesIO()
            # No date, so that the same numbers give the same file.
            figure.savefig(content, format=kind, metadata={"Date": None} if kind == "svg" else {})
            files[kind] = content.getvalue()
    svg = for_dark_pages(files["svg"].decode())
    files["svg"] = svg.encode()
    if chinese:
        files["zh.svg"] = translated(svg, chinese).encode()
    return files


def texts(svg: str) -> list[str]:
    """What is written in a picture, each text once, without numbers set as formulas."""
    written = (html.unescape(text).strip() for _, text, _ in _TEXT.findall(svg))
    return list(dict.fromkeys(text for text in written if text))


def translated(svg: str, chinese: Mapping[str, str]) -> str:
    """A picture with its texts in Chinese, which are mostly shorter; what has none stays.

    >>> translated("<text>step 3</text><text>Adam</text>", {"step {}": "第 {} 步"})
    '<text>第 3 步</text><text>Adam</text>'
    """
    shared = {**style.TEXTS, **chinese}

    def replace(match: re.Match[str]) -> str:
        text = html.unescape(match[2]).strip()
        return match[1] + html.escape(_in_chinese(text, shared), quote=False) + match[3]

    return _TEXT.sub(replace, svg.replace("<svg ", '<svg xml:lang="zh-CN" ', 1))


def _in_chinese(text: str, chinese: Mapping[str, str]) -> str:
    """A text's translation; {} in a key stands for whatever is there, and stays as it is."""
    if text in chinese:
        return chinese[text]
    for english, translation in chinese.items():
        pattern = re.escape(english).replace(r"\{\}", "(.+)")
        if "{}" in english and (match := re.fullmatch(pattern, text)):
            return translation.format(*match.groups())
    return text


def for_dark_pages(svg: str) -> str:
    """A picture with fonts and dark colours in its style sheet.

    White letters and white marks keep their colour, and so do colours that no optimizer has: they
    belong to a heat map, which looks the same on every page.
    """
    used = sorted(set(re.findall(r"(fill|stroke): (#[0-9a-f]{6})", svg)))
    rules = [
        f'{"path" * (colour == "#ffffff")}[style*="{kind}: {colour}"] '
        f"{{ {kind}: {dark} !important }}"
        for kind, colour in used
        if (dark := style.on_dark(colour)) and not (colour == "#ffffff" and kind == "stroke")
    ]
    sheet = "\n".join(
        [
            f"text {{ font-family: {FONTS} }}",
            "@media screen and (prefers-color-scheme: dark) {",
            *rules,
            "}",
        ]
    )
    return svg.replace(_FONT, "").replace(_STYLE, f"{_STYLE}\n{sheet}\n", 1)
