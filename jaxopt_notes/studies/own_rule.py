"""The reader's own rule in the playground: the bench, its examples, and what recognises it.

The gradients that it is given are those of `identify` (`microscope.steps.probes`); whose formula a
rule has is looked up in `verification.frameworks`.
"""

import json
from typing import Any

import numpy as np

from jaxopt_notes.microscope.steps import probes
from jaxopt_notes.studies import style
from jaxopt_notes.studies.wording import each
from jaxopt_notes.verification.frameworks import FRAMEWORKS

COLOUR = style.SKY
NAME = ("your rule", "你的规则")

# For each example its names and its text. The first one stands in the box.
EXAMPLES = {
    "rmsprop": (
        "RMSProp",
        "RMSProp",
        "s.E = 0.9 * s.E + 0.1 * g ** 2\nreturn -α * g / sqrt(s.E + 1e-8)",
    ),
    "adam": (
        "Adam",
        "Adam",
        "s.m = β1 * s.m + (1 - β1) * g\ns.v = β2 * s.v + (1 - β2) * g ** 2\n"
        "const m = s.m / (1 - β1 ** t)\nconst v = s.v / (1 - β2 ** t)\n"
        "return -α * m / (sqrt(v) + ε)",
    ),
    "uncorrected": (
        "Adam without bias correction",
        "不作偏差校正的 Adam",
        "s.m = β1 * s.m + (1 - β1) * g\ns.v = β2 * s.v + (1 - β2) * g ** 2\n"
        "return -α * s.m / (sqrt(s.v) + ε)",
    ),
    "momentum": (
        "momentum (heavy ball)",
        "动量（重球）",
        "s.v = β * s.v + g\nreturn -α * s.v",
    ),
    "adagrad": (
        "AdaGrad from 0.1",
        "累加器从 0.1 开始的 AdaGrad",
        "if (t === 1) s.G = 0.1\ns.G = s.G + g ** 2\nreturn -α * g / sqrt(s.G + 1e-7)",
    ),
    "sign": (
        "the gradient's sign",
        "梯度的符号",
        "return -α * sign(g)",
    ),
}

TEXTS = {
    "title": ("Write your own rule", "编写自己的更新规则"),
    "how": (
        "A few lines of JavaScript for one parameter. They see the gradient g, the step t = 1, 2, "
        "…, the parameter θ, and a memory s whose entries start at 0. They return the update u, "
        "and θ becomes θ + u. The letters α, β, β1, β2, ε and λ (or alpha, beta, eps, …) get "
        "sliders.",
        "为单个参数写几行 JavaScript。可以使用梯度 g、步数 t = 1, 2, …、参数 θ，以及初值为 0 "
        "的记忆变量 s.名称；返回更新量 u，θ 随即变为 θ + u。字母 α、β、β1、β2、ε、λ"
        "（或 alpha、beta、eps 等）会得到滑块。",
    ),
    "example": ("Start from", "从示例开始"),
    "run": ("Run it", "运行"),
    "code": ("The rule in JavaScript", "JavaScript 规则"),
    "probes": (
        "The page gives your rule the gradients with which identify probes an optimizer, and "
        "fits the known equations to its steps. python -m jaxopt_notes.identify does the same, "
        "and more, with an optimizer of any framework.",
        "本页用 identify 探测优化器的那组梯度来驱动你的规则，再用已知公式拟合其步长。"
        "命令 python -m jaxopt_notes.identify 可对任何框架的优化器做同样的、更全面的识别。",
    ),
}


def data() -> str:
    """The probes and the known conventions, as JavaScript."""
    gradients = probes.histories(probes.STEPS, seed=1).T
    rows = [[float(f"{x:.4g}") for x in row] for row in gradients]
    conventions = {
        name: {"equation": equation.__name__, "terms": terms, "letters": _letters(called)}
        for name, (equation, terms, called) in FRAMEWORKS.items()
    }
    lines = {
        "probes": {"gradients": rows, "starts": np.asarray(probes.starts()).tolist()},
        "conventions": conventions,
        "examples": {name: text for name, (_, _, text) in EXAMPLES.items()},
    }
    return "".join(f"const {k} = {_json(value)};\n" for k, value in lines.items())


def _letters(called: str) -> list[str]:
    return [letter for pair in called.split() for letter in pair.split("=")[1].split(",")]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def bench() -> str:
    """The box, the examples, and the place of the verdict."""
    options = "".join(
        f'<option value="{name}" data-en="{english}" data-zh="{chinese}">{english}</option>'
        for name, (english, chinese, _) in EXAMPLES.items()
    )
    return "\n".join(
        [
            '<section class="own" id="own">',
            f"<h2>{each(*TEXTS['title'])}</h2>",
            f'<p>{each(*TEXTS["how"])}</p><div class="bench"><div>',
            f'<p><label>{each(*TEXTS["example"])} <select id="example">{options}</select></label>'
            "</p>",
            f'<p><label>{each(*TEXTS["code"])}<textarea id="code" spellcheck="false" '
            'autocapitalize="off" autocomplete="off"></textarea></label></p>',
            f'<p><button id="run" type="button">▶ {each(*TEXTS["run"])}</button></p>',
            '</div><div id="verdict" aria-live="polite"></div></div>',
            f'<p class="small">{each(*TEXTS["probes"])}</p>',
            "</section>",
        ]
    )
