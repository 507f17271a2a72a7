"""The playground: optimizers on landscapes, moved by hand, as one page that needs nothing else.

What it computes stands in `web`: `rules.js` has the update rules, `landscapes.js` the landscapes,
`plane.js` the drawing and `playground.js` the controls.
"""

import html
import json
from pathlib import Path
from typing import Any

from jaxopt_notes.studies import page, style
from jaxopt_notes.studies.wording import each, link, marked

FILE = "playground.html"
WEB = Path(__file__).with_name("web")
SCRIPTS = ("rules.js", "landscapes.js", "plane.js", "playground.js")

# For each optimizer its names, its equation, and whether it walks at first.
OPTIMIZERS = {
    "sgd": ("SGD", "SGD", "u = −α g", True),
    "momentum": (
        "momentum (average)",
        "动量（滑动平均）",
        "v ← β v + (1 − β) g, u = −α v",
        True,
    ),
    "heavy-ball": ("momentum (heavy ball)", "动量（重球）", "v ← β v + g, u = −α v", False),
    "adagrad": ("AdaGrad", "AdaGrad", "G_0 = 0.1, G ← G + g^2, u = −α g / √(G + ε)", False),
    "rmsprop": ("RMSProp", "RMSProp", "E ← β E + (1 − β) g^2, u = −α g / √(E + ε)", True),
    "adam": (
        "Adam",
        "Adam",
        "m ← β_1 m + (1 − β_1) g, v ← β_2 v + (1 − β_2) g^2, m̂ = m / (1 − β_1^t), "
        "v̂ = v / (1 − β_2^t), u = −α m̂ / (√v̂ + ε)",
        True,
    ),
    "adamw": ("AdamW", "AdamW", "u = −α (m̂ / (√v̂ + ε) + λ θ)", False),
}

# For each landscape its names, and what it is.
LANDSCAPES = {
    "ravine": ("ravine", "峡谷", "L = ½ (x^2 + 50 y^2)", "L = ½ (x^2 + 50 y^2)"),
    "saddle": (
        "saddle",
        "鞍点",
        "L = 5 x^2 + ¼ (y^2 − 1)^2; the saddle is at (0, 0), between two minima",
        "L = 5 x^2 + ¼ (y^2 − 1)^2；鞍点在 (0, 0)，位于两个极小点之间",
    ),
    "beale": (
        "Beale",
        "Beale",
        "L = (1.5 − x + xy)^2 + (2.25 − x + xy^2)^2 + (2.625 − x + xy^3)^2",
        "L = (1.5 − x + xy)^2 + (2.25 − x + xy^2)^2 + (2.625 − x + xy^3)^2",
    ),
    "rosenbrock": (
        "Rosenbrock",
        "Rosenbrock",
        "L = (1 − x)^2 + 100 (y − x^2)^2",
        "L = (1 − x)^2 + 100 (y − x^2)^2",
    ),
    "noisy": (
        "noisy",
        "带噪声",
        "L = ½ (x^2 + 10 y^2); to each gradient comes normal noise of standard deviation 2, the "
        "same for all",
        "L = ½ (x^2 + 10 y^2)；每个梯度都加上标准差为 2 的正态噪声，所有优化器的噪声相同",
    ),
    "drifting": (
        "drifting",
        "漂移",
        "L = ½ ((x − a)^2 + 10 (y − b)^2); its centre (a, b) goes round a circle in 500 steps",
        "L = ½ ((x − a)^2 + 10 (y − b)^2)；中心 (a, b) 每 500 步绕圆一周",
    ),
}

TEXTS = {
    "title": ("Playground", "优化器演练场"),
    "back": ("← The notes' claims", "← 笔记中的论断"),
    "hint": (
        "Click anywhere on the map to start from there. With the keyboard: arrows move the start, "
        "Shift makes them finer, Enter plays. The white ring is the start, a cross a minimum.",
        "点击图中任意位置，即从该处出发。也可用键盘：方向键移动起点，按住 Shift 可微调，"
        "按回车键播放。白圈为起点，叉号为极小点。",
    ),
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
    "landscape": ("Landscape", "地形"),
    "optimizers": ("Optimizers", "优化器"),
    "loss": ("loss", "损失"),
    "distance": ("distance", "距离"),
    "together": ("sliders of the same letter move together", "相同字母的滑块联动"),
    "defaults": ("Restore the defaults", "恢复默认设置"),
    "about": (
        "The rules are this package's, with its defaults and with ε where it puts it; the rates "
        "are chosen for each landscape. The loss is the one above its least value; the distance is "
        "the one to the nearest minimum.",
        "更新规则、默认值以及 ε 的位置均与本软件包一致；学习率按地形分别选定。"
        "损失为高出最小值的部分；距离为到最近极小点的距离。",
    ),
}


def look(name: str) -> dict[str, Any]:
    """An optimizer's colour and dashes, as in the studies' pictures; the heavy ball is momentum."""
    if name == "heavy-ball":
        return {"colour": style.COLOURS["momentum"], "dashes": [1.5, 1.5]}
    dashes = style.DASHES[name]
    return {"colour": style.COLOURS[name], "dashes": [] if dashes == "-" else dashes[1]}


def as_page() -> str:
    """The whole page."""
    sheet, *scripts = ((WEB / f).read_text(encoding="utf-8") for f in ("playground.css", *SCRIPTS))
    looks = f"const looks = {json.dumps({name: look(name) for name in OPTIMIZERS})};"
    body = "\n".join([*_head(), '<main class="playground">', _stage(), _settings(), "</main>"])
    return page.PAGE.format(
        title=html.escape(TEXTS["title"][0]),
        style=page.STYLE + sheet,
        body=body,
        script="\n".join([page.SCRIPT, looks, *scripts]),
    )


def _head() -> list[str]:
    return [
        f"<h1>{each(*TEXTS['title'])}</h1>",
        f'<p><button id="language" type="button">中文</button> '
        f"{link('index.html', *TEXTS['back'])}</p>",
        f"<noscript><p><strong>{each(*TEXTS['script'])}</strong></p></noscript>",
    ]


def _stage() -> str:
    """The canvas and what moves time."""
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
            f'<div class="buttons">{"".join(buttons)}</div>',
            "</div>",
        ]
    )


def _settings() -> str:
    """The landscapes and the optimizers."""
    first = next(iter(LANDSCAPES))
    chips = [
        f'<label class="chip"><input type="radio" name="landscape" value="{name}"'
        f'{" checked" * (name == first)}><span class="face">{each(*names)}</span></label>'
        for name, (*names, _, _) in LANDSCAPES.items()
    ]
    told = [
        f'<p class="small" data-landscape="{name}">{each(*what)}</p>'
        for name, (_, _, *what) in LANDSCAPES.items()
    ]
    head = "".join(f"<span>{each(*TEXTS[n])}</span>" for n in ("optimizers", "loss", "distance"))
    return "\n".join(
        [
            '<div class="settings">',
            f"<fieldset><legend>{each(*TEXTS['landscape'])}</legend>{''.join(chips)}</fieldset>",
            *told,
            f'<p class="small" id="hint">{each(*TEXTS["hint"])}</p>',
            f'<div class="head">{head}</div>',
            *(_row(name) for name in OPTIMIZERS),
            '<label class="together"><input id="together" type="checkbox">'
            f"<span>{each(*TEXTS['together'])}</span></label>",
            f'<button id="defaults" type="button">{each(*TEXTS["defaults"])}</button>',
            f'<p class="small">{each(*TEXTS["about"])}</p>',
            "</div>",
        ]
    )


def _row(name: str) -> str:
    """An optimizer: whether it walks, where it is, and its sliders, which the script puts in."""
    english, chinese, equation, walks = OPTIMIZERS[name]
    line = look(name)
    dashes = " ".join(f"{2.5 * length:g}" for length in line["dashes"])
    return (
        f'<div class="optimizer" data-name="{name}"><div>'
        f'<label><input type="checkbox"{" checked" * walks}>'
        f'<svg width="34" height="12" aria-hidden="true"><path d="M2 6H32" '
        f'stroke="{line["colour"]}" stroke-width="2.5" stroke-dasharray="{dashes}"/></svg>'
        f"<span>{each(english, chinese)}</span></label>"
        '<output data-read="loss"></output><output data-read="distance"></output></div>'
        '<details><summary></summary><div class="sliders"></div>'
        f'<p class="small equations">{marked(equation)}</p></details></div>'
    )
