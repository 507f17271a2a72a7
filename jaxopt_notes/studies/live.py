"""Live figures: for the studies that take milliseconds, a figure with sliders in the claim's page.

A figure computes in the reader's browser: `web/live.js` has the sliders and the line beneath,
`web/live-NAME.js` what a study draws, `web/closed.js` the closed forms over the simulated points.
Rules, landscapes and drawing are the playground's.
"""

import json
from typing import Any, NamedTuple

from jaxopt_notes.studies import controls, style
from jaxopt_notes.studies.wording import each

SHARED = (
    "numbers.js",
    "theme.js",
    "equations.js",
    "rules.js",
    "landscapes.js",
    "labels.js",
    "chart.js",
    "closed.js",
    "live.js",
)

TEXTS = {
    "reset": ("Reset", "重置"),
    "best": ("each at its best learning rate", "各取最佳学习率"),
    "script": (
        "This figure is computed by JavaScript, which is switched off here.",
        "此图由 JavaScript 计算，而此处已禁用 JavaScript。",
    ),
    "simulated": ("simulated", "模拟"),
    "closed": ("closed form", "解析式"),
}


class Drawing(NamedTuple):
    """A canvas: its name in the script, and its title.

    Attributes:
      part: the name.
      english: the title in English.
      chinese: the title in Chinese.
      is_plane: it is a map, not a chart.
      is_moved: its start is moved by dragging it and by the arrow keys.
      is_wide: it takes the whole width.
    """

    part: str
    english: str
    chinese: str
    is_plane: bool = False
    is_moved: bool = False
    is_wide: bool = False


class Figure(NamedTuple):
    """A study's live figure.

    Attributes:
      drawings: its canvases.
      looks: for each name of the script how its line looks, and its names in the legend.
      scripts: modules of `web` beside SHARED.
      chooses: it can choose the best learning rates itself.
      dots: the legend tells simulated dots from lines of the closed form.
    """

    drawings: tuple[Drawing, ...]
    looks: dict[str, tuple[dict[str, Any], str, str]]
    scripts: tuple[str, ...]
    chooses: bool = False
    dots: bool = True


def _optimizers(*names: str) -> dict[str, tuple[dict[str, Any], str, str]]:
    chinese = {"momentum": "动量"}
    return {
        name: (
            controls.look(style.COLOURS[name], style.DASHES[name]),
            style.LABELS[name],
            chinese.get(name, style.LABELS[name]),
        )
        for name in names
    }


MAP = ("plane.js",)
FIGURES = {
    "ravine": Figure(
        (
            Drawing("map", "Paths; drag the start", "轨迹；可拖动起点", True, True),
            Drawing("loss", "Loss over steps", "损失随步数的变化"),
            Drawing("factor", "Distance left by a step, over αλ", "每步剩下的距离，随 αλ 变化"),
            Drawing(
                "goh",
                "Steps needed over α and β (✕ is the best); drag momentum",
                "所需步数随 α 与 β 的变化（✕ 为最佳）；可拖动动量",
                True,
                True,
            ),
        ),
        _optimizers("sgd", "momentum"),
        (*MAP, "start.js", "live-ravine.js"),
        chooses=True,
    ),
    "saddle": Figure(
        (
            Drawing("map", "Paths off the saddle at (0, 0)", "离开鞍点 (0, 0) 的轨迹", True),
            Drawing("loss", "Loss over steps", "损失随步数的变化"),
            Drawing("growth", "|y| over steps", "|y| 随步数的变化", is_wide=True),
        ),
        _optimizers("sgd", "momentum"),
        (*MAP, "live-saddle.js"),
    ),
    "stall": Figure(
        (
            Drawing(
                "rates",
                "Effective learning rate over steps, in α",
                "有效学习率随步数的变化（以 α 为单位）",
            ),
            Drawing("bowl", "Mean |x| in the bowl Σ |x|ᵖ / p", "碗 Σ |x|ᵖ / p 中的平均 |x|"),
        ),
        _optimizers("adagrad", "rmsprop"),
        ("live-stall.js",),
        chooses=True,
    ),
    "weighted-sum": Figure(
        (
            Drawing(
                "weights",
                "Weight of each gradient, over steps from now",
                "每个梯度的权重，横轴为距今步数",
            ),
            Drawing("sums", "m over steps", "m 随步数的变化"),
        ),
        {
            "simulated": (
                controls.look(style.RED),
                "weight read from Adam's m; weighted sum",
                "从 Adam 的 m 读出的权重；加权和",
            ),
            "closed": (
                controls.look(style.BLUE),
                "(1 − β) β^{t − i}; Adam's m",
                "(1 − β) β^{t − i}；Adam 的 m",
            ),
            "gradient": (controls.look("#999999"), "gradient", "梯度"),
        },
        ("live-weighted-sum.js",),
        dots=False,
    ),
    "second-moment": Figure(
        (
            Drawing("steps", "v̂ over steps", "v̂ 随步数的变化"),
            Drawing("batches", "v̂ over the variance, by batch size", "v̂ 与方差之比，随批大小变化"),
        ),
        {
            "simulated": (controls.look(style.BLACK), "Adam's v̂", "Adam 的 v̂"),
            "closed": (controls.look(style.RED), "1 + μ^2 B / σ^2", "1 + μ^2 B / σ^2"),
        },
        ("live-second-moment.js",),
    ),
    "bias-correction": Figure(
        (
            Drawing(
                "moments",
                "m and v over what they estimate",
                "m、v 与其估计量之比",
            ),
            Drawing("ratio", "Step without over step with", "步长之比：不校正 / 校正"),
        ),
        {
            "m": (controls.look(style.BLUE), "m", "m"),
            "v": (controls.look(style.RED), "v", "v"),
            "corrected": (controls.look(style.GREEN), "m̂ and v̂, corrected", "m̂ 与 v̂（已校正）"),
            "ratio": (controls.look(style.BLACK), "ratio of steps", "步长之比"),
        },
        ("live-ratio.js", "live-bias-correction.js"),
    ),
    "first-steps": Figure(
        (
            Drawing(
                "ratio",
                "Step without over step with the correction",
                "步长之比：不校正 / 校正",
                is_wide=True,
            ),
            Drawing("map", "Adam's paths in a ravine", "Adam 在峡谷中的轨迹", True),
            Drawing("loss", "Loss over steps", "损失随步数的变化"),
        ),
        {
            "with": (controls.look(style.RED), "Adam", "Adam"),
            "without": (
                controls.look(style.BLUE, (0, (5, 1.5))),
                "without the correction",
                "不带校正",
            ),
            "ratio": (controls.look(style.BLACK), "ratio of steps", "步长之比"),
        },
        (*MAP, "live-ratio.js", "live-first-steps.js"),
    ),
    "drifting-target": Figure(
        (
            Drawing("behind", "How far behind the centre", "落后于中心的距离"),
            Drawing("errors", "Mean squared distance over α", "均方距离随 α 的变化"),
        ),
        _optimizers("sgd", "momentum", "adam"),
        ("live-drifting-target.js",),
        chooses=True,
    ),
}


def live(name: str) -> str:
    """A study's live figure: HTML with its own style and script, which fetches nothing.

    Args:
      name: one of `study.names()`.

    Returns:
      What stands on the page under a heading; "" for a study without such a figure.

    >>> live("ravine").startswith("<style>"), live("flatten")
    (True, '')
    """
    figure = FIGURES.get(name)
    if figure is None:
        return ""
    looks = {key: look for key, (look, *_) in figure.looks.items()}
    labels = {key: names for key, (_, *names) in figure.looks.items()}
    data = f"const looks = {json.dumps(looks)};\n"
    data += f"const labels = {json.dumps(labels, ensure_ascii=False)};\n"
    best = f'<label><input id="live-best" type="checkbox" checked>{each(*TEXTS["best"])}</label>'
    return "\n".join(
        [
            f"<style>{controls.read('live.css')}</style>",
            '<section class="live">',
            f"<noscript><p><strong>{each(*TEXTS['script'])}</strong></p></noscript>",
            '<div class="settings"><div id="live-sliders"></div>',
            f'<div class="choice">{best * figure.chooses}'
            f'<button id="live-reset" type="button">{each(*TEXTS["reset"])}</button></div></div>',
            _legend(figure),
            f'<div class="drawings">{"".join(map(_drawing, figure.drawings))}</div>',
            '<p id="live-seen" aria-live="polite"></p>',
            "</section>",
            f"<script>{data}{controls.read(*SHARED, *figure.scripts)}</script>",
        ]
    )


def _drawing(drawing: Drawing) -> str:
    """A canvas under its title."""
    part, wide, plane = drawing.part, "wide" * drawing.is_wide, "plane" * drawing.is_plane
    role = 'role="application" tabindex="0"' if drawing.is_moved else 'role="img"'
    return (
        f'<div class="drawing {wide}"><p id="live-{part}">{each(*drawing[1:3])}</p>'
        f'<canvas class="{plane}" data-part="{part}" {role} aria-labelledby="live-{part}">'
        "</canvas></div>"
    )


def _legend(figure: Figure) -> str:
    """The lines' names, and which is simulated and which the closed form."""
    entries = [
        f"<span>{controls.swatch(look)}<span>{each(*names)}</span></span>"
        for look, *names in figure.looks.values()
    ]
    if figure.dots:
        dot = (
            '<svg width="12" height="12" aria-hidden="true">'
            '<circle cx="6" cy="6" r="3" fill="currentColor"/></svg>'
        )
        entries.append(f"<span>{dot}<span>{each(*TEXTS['simulated'])}</span></span>")
        entries.append(f"<span>— <span>{each(*TEXTS['closed'])}</span></span>")
    return f'<div class="legend">{"".join(entries)}</div>'
