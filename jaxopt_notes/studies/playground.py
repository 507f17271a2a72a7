"""The playground: optimizers on landscapes, moved by hand, as one page that needs nothing else.

What it computes stands in `web`: `equations.js` and `rules.js` have the update rules,
`landscapes.js` the landscapes, `plane.js` and `chart.js` the drawing, `identify.js` recognises the
reader's own rule, and `playground.js` has the controls.
"""

import json
from typing import Any

from jaxopt_notes.studies import controls, own_rule, page, style
from jaxopt_notes.studies.wording import each, marked

FILE = "playground.html"
SCRIPTS = (
    "numbers.js",
    "theme.js",
    "address.js",
    "equations.js",
    "rules.js",
    "landscapes.js",
    "labels.js",
    "plane.js",
    "chart.js",
    "player.js",
    "start.js",
    "own.js",
    "families.js",
    "fit.js",
    "identify.js",
    "playground.js",
)

# What stands after # in the address to show a study's claim.
PRESETS = {
    "ravine": "landscape=ravine&on=sgd,momentum&steps=120",
    "saddle": "landscape=saddle&on=sgd,momentum&steps=150",
    "stall": "landscape=ravine&on=adagrad,rmsprop&adagrad.alpha=0.05&rmsprop.alpha=0.005"
    "&steps=1000",
    "weighted-sum": "landscape=noisy&on=sgd,momentum&steps=200",
    "bias-correction": "landscape=ravine&on=adam,own&example=uncorrected&own.alpha=0.1&steps=60",
    "drifting-target": "landscape=drifting&on=adagrad,rmsprop,adam&steps=1000",
}

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
    "adagrad": ("AdaGrad", "AdaGrad", "G_0 = 0, G ← G + g^2, u = −α g / (√G + ε)", False),
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
    "ravine": ("ravine", "峡谷", "L = ½ (x^2 + 100 y^2)", "L = ½ (x^2 + 100 y^2)"),
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
    "title": ("Playground", "优化器交互演示"),
    "hint": (
        "Drag the white start, or click anywhere on the map. With the keyboard: arrows move the "
        "start, Shift makes them finer, Space plays and pauses, Enter plays from the start. A "
        "cross is a minimum; an arrow shows where a path leaves the map.",
        "拖动白色起点，或点击图中任意位置。键盘：方向键移动起点，按住 Shift 可微调，"
        "空格键播放或暂停，回车键从起点播放。叉号为极小点；箭头表示轨迹离开图外。",
    ),
    "landscape": ("Landscape", "地形"),
    "optimizers": ("Optimizers", "优化器"),
    "loss": ("loss", "损失"),
    "distance": ("distance", "距离"),
    "together": ("sliders of the same letter move together", "相同字母的滑块联动"),
    "defaults": ("Restore the defaults", "恢复默认设置"),
    "diverges": ("diverges", "发散"),
    "outside": ("off the map", "已出图外"),
    "about": (
        "The rules and their defaults are those of the notes; the learning rates are chosen for "
        "each landscape. The loss is measured from its minimum, the distance from the nearest "
        "minimum.",
        "更新规则及默认值与笔记一致；学习率按地形分别选定。损失以最小值为零点；距离为到最近极小点的距离。",
    ),
}


def look(name: str) -> dict[str, Any]:
    """An optimizer's colour and dashes, as in the studies' pictures; the heavy ball is momentum."""
    if name == "heavy-ball":
        return controls.look(style.COLOURS["momentum"], (0, (1.5, 1.5)))
    if name == "own":
        return controls.look(own_rule.COLOUR)
    return controls.look(style.COLOURS[name], style.DASHES[name])


def as_page() -> str:
    """The whole page."""
    names = [*OPTIMIZERS, "own"]
    data = f"const looks = {json.dumps({name: look(name) for name in names})};\n"
    body = [
        *controls.head(TEXTS["title"]),
        '<main class="playground">',
        controls.stage(),
        _settings(),
        "</main>",
        own_rule.bench(),
    ]
    return page.document(
        *TEXTS["title"],
        "\n".join(body),
        controls.read("playground.css"),
        data + own_rule.data() + controls.read(*SCRIPTS),
    )


def _settings() -> str:
    """The landscapes and the optimizers."""
    descriptions = [
        f'<p class="small" data-landscape="{name}">{each(*what)}</p>'
        for name, (_, _, *what) in LANDSCAPES.items()
    ]
    head = "".join(f"<span>{each(*TEXTS[n])}</span>" for n in ("optimizers", "loss", "distance"))
    return "\n".join(
        [
            '<div class="settings">',
            controls.choices(
                "landscape",
                TEXTS["landscape"],
                [(name, *texts[:2]) for name, texts in LANDSCAPES.items()],
            ),
            *descriptions,
            f'<p class="small" id="hint">{each(*TEXTS["hint"])}</p>',
            f'<div class="head">{head}</div>',
            *(_row(name, *texts) for name, texts in OPTIMIZERS.items()),
            _row("own", *own_rule.NAME, "", False),
            '<label class="together"><input id="together" type="checkbox">'
            f"<span>{each(*TEXTS['together'])}</span></label>",
            f'<button id="defaults" type="button">{each(*TEXTS["defaults"])}</button>',
            f'<p class="small">{each(*TEXTS["about"])}</p>',
            "</div>",
        ]
    )


def _row(name: str, english: str, chinese: str, equation: str, walks: bool) -> str:
    """An optimizer: whether it walks, where it is, and its sliders, which the script puts in."""
    fates = "".join(
        f' <span class="fate {fate}">{each(*TEXTS[fate])}</span>'
        for fate in ("diverges", "outside")
    )
    return (
        f'<div class="optimizer" data-name="{name}"{" hidden" * (name == "own")}><div>'
        f'<label><input type="checkbox"{" checked" * walks}>'
        f"{controls.swatch(look(name))}"
        f"<span>{each(english, chinese)}{fates}</span></label>"
        '<output data-read="loss"></output><output data-read="distance"></output></div>'
        '<details><summary></summary><div class="sliders"></div>'
        f'<p class="small equations">{marked(equation)}</p></details></div>'
    )
