"""The pieces of the pages that move: the map with its buttons, choices, swatches, scripts."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxopt_notes.studies import style
from jaxopt_notes.studies.wording import each, link

WEB = Path(__file__).with_name("web")

TEXTS = {
    "back": ("← The notes' claims", "← 笔记中的论断"),
    "script": (
        "The paths are computed by JavaScript, which is switched off here.",
        "轨迹由 JavaScript 计算，而此处已禁用 JavaScript。",
    ),
    "play": ("Play", "播放"),
    "pause": ("Pause", "暂停"),
    "step": ("Step", "单步"),
    "reset": ("Reset", "重置"),
    "steps": ("step", "步数"),
    "speed": ("steps a second", "每秒步数"),
}


def read(*names: str) -> str:
    """Files of `web`, one after another."""
    return "\n".join((WEB / name).read_text(encoding="utf-8") for name in names)


def look(colour: str, dashes: Any = "-") -> dict[str, Any]:
    """How a line looks on a canvas: its colour on a light and on a dark page, and its dashes."""
    pair = [colour, style.DARK.get(colour, colour)]
    return {"colour": pair, "dashes": [] if dashes == "-" else list(dashes[1])}


def swatch(line: Mapping[str, Any]) -> str:
    """A short piece of a line."""
    light, dark = line["colour"]
    dashes = " ".join(f"{2.5 * length:g}" for length in line["dashes"])
    return (
        '<svg width="34" height="12" aria-hidden="true"><path d="M2 6H32" stroke="currentColor" '
        f'style="color: light-dark({light}, {dark})" stroke-width="2.5" '
        f'stroke-dasharray="{dashes}"/></svg>'
    )


def head(title: tuple[str, str]) -> list[str]:
    """The title, the switch of language and the way back to the gallery."""
    return [
        f"<h1>{each(*title)}</h1>",
        '<p><button id="language" type="button">中文</button> '
        f"{link('index.html', *TEXTS['back'])}</p>",
        f"<noscript><p><strong>{each(*TEXTS['script'])}</strong></p></noscript>",
    ]


def stage() -> str:
    """The map, the losses beside it, and what moves time."""
    buttons = [
        '<button id="play" type="button">'
        f'<span class="go">▶ {each(*TEXTS["play"])}</span>'
        f'<span class="halt">❚❚ {each(*TEXTS["pause"])}</span></button>',
        *(f'<button id="{n}" type="button">{each(*TEXTS[n])}</button>' for n in ("step", "reset")),
        f'<span class="count">{each(*TEXTS["steps"])} <output id="steps"></output></span>',
        f'<label class="slide">{each(*TEXTS["speed"])} '
        '<input id="speed" type="range" min="0" max="3" step="0.05" value="1.5">'
        '<output id="pace"></output></label>',
    ]
    return "\n".join(
        [
            '<div class="stage">',
            '<canvas id="plane" tabindex="0" role="application" aria-labelledby="hint"></canvas>',
            '<canvas id="curves" aria-hidden="true"></canvas>',
            f'<div class="buttons">{"".join(buttons)}</div>',
            "</div>",
        ]
    )


def choices(group: str, legend: tuple[str, str], names: Iterable[tuple[str, str, str]]) -> str:
    """Chips of which one is chosen; names are (value, English, Chinese), the first one chosen."""
    chips = [
        f'<label class="chip"><input type="radio" name="{group}" value="{value}"'
        f'{" checked" * (i == 0)}><span class="face">{each(*texts)}</span></label>'
        for i, (value, *texts) in enumerate(names)
    ]
    return f"<fieldset><legend>{each(*legend)}</legend>{''.join(chips)}</fieldset>"
