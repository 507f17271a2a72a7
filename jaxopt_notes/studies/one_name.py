"""One name, five formulas: what the frameworks call RMSProp, AdaGrad, Adam and momentum, in a race.

Which framework has which equation, terms and keywords comes from `verification.frameworks`. The
page computes with `web/equations.js`; `web/frameworks.js` writes the calls that make two agree.
"""

import inspect
import json
from typing import Any

import optax

from jaxopt_notes.studies import controls, page, style
from jaxopt_notes.studies.wording import each
from jaxopt_notes.verification.frameworks import FRAMEWORKS

FILE = "one-name.html"
SCRIPTS = (
    "numbers.js",
    "theme.js",
    "address.js",
    "equations.js",
    "landscapes.js",
    "frameworks.js",
    "forks.js",
    "labels.js",
    "plane.js",
    "chart.js",
    "player.js",
    "start.js",
    "one-name-text.js",
    "one-name.js",
)

NAMES = {
    "notes": ("the notes", "笔记"),
    "optax": ("optax", "optax"),
    "torch": ("torch", "torch"),
    "keras": ("Keras 3", "Keras 3"),
    "tensorflow1": ("TensorFlow 1", "TensorFlow 1"),
}
LOOKS = {
    "notes": controls.look(style.BLACK, (0, (5, 1.5))),
    "optax": controls.look(style.BLUE),
    "torch": controls.look(style.RED),
    "keras": controls.look(style.PURPLE, (0, (3, 1.5))),
    "tensorflow1": controls.look(style.GREEN, (0, (6, 2, 1, 2))),
}

# For each name: what the five call it, the letters with sliders, and the learning rate of the race.
FAMILIES: dict[str, dict[str, Any]] = {
    "rmsprop": {
        "names": ("RMSProp", "RMSProp"),
        "sliders": ["β", "ε", "μ"],
        "rate": 0.03,
        "calls": {
            "notes": ("rmsprop", ""),
            "optax": ("rmsprop", "optax.rmsprop("),
            "torch": ("rmsprop", "torch.optim.RMSprop(params, "),
            "keras": ("rmsprop", "keras.optimizers.RMSprop("),
            "tensorflow1": ("rmsprop", "tf.compat.v1.train.RMSPropOptimizer("),
        },
    },
    "adagrad": {
        "names": ("AdaGrad", "AdaGrad"),
        "sliders": ["ε"],
        "rate": 0.2,
        "calls": {
            "notes": ("adagrad", ""),
            "optax": ("adagrad", "optax.adagrad("),
            "torch": ("adagrad", "torch.optim.Adagrad(params, "),
            "keras": ("adagrad", "keras.optimizers.Adagrad("),
            "tensorflow1": ("adagrad", "tf.compat.v1.train.AdagradOptimizer("),
        },
    },
    "adam": {
        "names": ("Adam", "Adam"),
        "sliders": ["β1", "β2", "ε"],
        "rate": 0.05,
        "calls": {
            "notes": ("adam", ""),
            "optax": ("adam", "optax.adam("),
            "torch": ("adam", "torch.optim.Adam(params, "),
            "keras": ("adam", "keras.optimizers.Adam("),
            "tensorflow1": ("adam", "tf.compat.v1.train.AdamOptimizer("),
        },
    },
    "momentum": {
        "names": ("momentum", "动量"),
        "sliders": ["β"],
        "rate": 0.02,
        "calls": {
            "notes": ("momentum", ""),
            "optax": ("sgd", "optax.sgd("),
            "torch": ("sgd", "torch.optim.SGD(params, "),
            "keras": ("sgd", "keras.optimizers.SGD("),
            "tensorflow1": ("momentum", "tf.compat.v1.train.MomentumOptimizer("),
        },
    },
}

TEXTS = {
    "title": ("One name, five formulas", "同名不同式"),
    "lead": (
        "The study notes, which follow the papers, and four frameworks have an optimizer of this "
        "name. Start, learning rate and gradients are the same; the paths are not. The map marks "
        "where they part. Each line of code makes one of them follow another.",
        "学习笔记（沿用论文的公式）与四个框架都有这个名字的优化器。起点、学习率和梯度函数全都相同，"
        "轨迹却不同。图中标出分开之处；每行代码都能让其中一个与另一个走同一条轨迹。",
    ),
    "hint": (
        "Drag the white start, or click anywhere on the map. With the keyboard: arrows move the "
        "start, Space plays and pauses, Enter plays from the start. A ring marks where two paths "
        "are first more than 1 % of the map's width apart; an arrow, where a path leaves the map.",
        "拖动白色起点，或点击图中任意位置。键盘：方向键移动起点，空格键播放或暂停，回车键从起点播放。"
        "圆圈标出两条轨迹的距离首次超过图宽 1% 之处；箭头表示轨迹离开图外。",
    ),
    "family": ("Optimizer", "优化器"),
    "landscape": ("Landscape", "地形"),
    "numbers": ("Hyperparameters", "超参数"),
    "defaults": ("Whose defaults", "采用谁的默认值"),
    "own": ("each its own", "各用各的"),
    "drop": ("the learning rate falls to a tenth at step 30", "学习率在第 30 步降为十分之一"),
    "follow": ("Make them agree with", "让它们与此一致"),
    "all": ("Make all agree", "全部设为一致"),
    "undo": ("As before", "恢复"),
    "copy": ("Copy", "复制"),
    "agree": ("Make it agree", "设为一致"),
    "about": (
        "A slider gives the same value to every framework that has the hyperparameter. The "
        "formulas are tested against the frameworks; docs/optimizers-by-framework.md has all of "
        "them.",
        "拖动滑块会让所有具有该超参数的框架取同一个值。公式都以各框架本身作过检验；"
        "全部公式见 docs/optimizers-by-framework.md。",
    ),
}


def families() -> dict[str, Any]:
    """What web/frameworks.js computes with: for each name and framework its equation and calls."""
    return {
        name: {
            "sliders": family["sliders"],
            "rate": family["rate"],
            **{framework: _entry(framework, *call) for framework, call in family["calls"].items()},
        }
        for name, family in FAMILIES.items()
    }


def _entry(framework: str, optimizer: str, call: str) -> dict[str, Any]:
    equation, terms, called = FRAMEWORKS[f"{framework}.{optimizer}"]
    keywords = dict(pair.split("=") for pair in called.split())
    terms = {"rate_inside": True, **terms} if equation.__name__ == "rmsprop" else dict(terms)
    # What has no default there, the page gives in every call.
    always = [k for k, term in keywords.items() if term == "β" and "β" not in terms]
    if always:
        terms["β"] = 0.9
    ours = f"jaxopt_notes.conventions.{framework}.{optimizer}("
    ways = [{"call": ours, "keywords": keywords, "own": False, "always": always}]
    if framework == "optax":
        takes = inspect.signature(getattr(optax, optimizer)).parameters
        own = {k: term for k, term in keywords.items() if k in takes}
        ours = f"jaxopt_notes.{optimizer}("
        ways = [
            {"call": call, "keywords": own, "own": True, "always": always},
            {"call": ours, "keywords": keywords, "own": False, "always": always},
        ]
    elif call:
        ways.insert(0, {**ways[0], "call": call, "own": True})
    letters = [letter for terms_ in keywords.values() for letter in terms_.split(",")]
    return {"equation": equation.__name__, "terms": terms, "letters": letters, "ways": ways}


def as_page() -> str:
    """The whole page."""
    data = (
        f"const families = {json.dumps(families(), ensure_ascii=False)};\n"
        f"const names = {json.dumps(NAMES, ensure_ascii=False)};\n"
        f"const looks = {json.dumps(LOOKS)};\n"
    )
    body = [
        *controls.head(TEXTS["title"]),
        f"<p>{each(*TEXTS['lead'])}</p>",
        '<main class="playground">',
        controls.stage(),
        _settings(),
        "</main>",
    ]
    return page.document(
        *TEXTS["title"],
        "\n".join(body),
        controls.read("playground.css", "one-name.css"),
        data + controls.read(*SCRIPTS),
    )


def _settings() -> str:
    defaults = "".join(
        f'<button type="button" data-defaults="{framework}">{each(*texts)}</button>'
        for framework, texts in NAMES.items()
    )
    landscapes = [
        ("ravine", "ravine", "峡谷"),
        ("rosenbrock", "Rosenbrock", "Rosenbrock"),
        ("saddle", "saddle", "鞍点"),
    ]
    return "\n".join(
        [
            '<div class="settings">',
            controls.choices(
                "family", TEXTS["family"], [(n, *f["names"]) for n, f in FAMILIES.items()]
            ),
            '<p id="finding" aria-live="polite"></p>',
            f"<h3>{each(*TEXTS['numbers'])}</h3>",
            '<div class="sliders" id="sliders"></div>',
            f'<label class="together"><input id="drop" type="checkbox">'
            f"<span>{each(*TEXTS['drop'])}</span></label>",
            f"<h3>{each(*TEXTS['defaults'])}</h3>",
            f'<div class="buttons"><button type="button" data-defaults="">'
            f"{each(*TEXTS['own'])}</button>{defaults}</div>",
            _frameworks(),
            controls.choices("landscape", TEXTS["landscape"], landscapes),
            f'<p class="small" id="hint">{each(*TEXTS["hint"])}</p>',
            f'<p class="small">{each(*TEXTS["about"])}</p>',
            "</div>",
        ]
    )


def _frameworks() -> str:
    """The five, each with its formula and the line that makes it agree with the chosen one."""
    chips = controls.choices(
        "follow", TEXTS["follow"], [(name, *texts) for name, texts in _torch_first()]
    )
    rows = [
        f'<article class="framework" data-framework="{name}"><h2>{controls.swatch(LOOKS[name])} '
        f'{each(*texts)} <span class="loss"></span></h2><p class="formula"></p>'
        '<p class="note small"></p><div class="call"><code></code>'
        f'<button type="button" class="copy">{each(*TEXTS["copy"])}</button>'
        f'<button type="button" class="agree" aria-pressed="false">{each(*TEXTS["agree"])}</button>'
        "</div></article>"
        for name, texts in NAMES.items()
    ]
    buttons = "".join(
        f'<button type="button" id="{name}">{each(*TEXTS[name])}</button>'
        for name in ("all", "undo")
    )
    return "\n".join(
        [
            '<section class="frameworks">',
            f'<div class="follow">{chips}<div class="buttons">{buttons}</div></div>',
            *rows,
            "</section>",
        ]
    )


def _torch_first() -> list[tuple[str, tuple[str, str]]]:
    """The frameworks with torch in front, which most readers come from."""
    return sorted(NAMES.items(), key=lambda pair: pair[0] != "torch")
