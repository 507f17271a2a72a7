"""How the gallery and its Markdown say things, in English and in Chinese."""

import html
import math
import re
from typing import Any, NamedTuple

from jaxopt_notes.studies.study import DEPENDS, FAILS, HOLDS, About

LANGUAGES = ("en", "zh")
TAGS = ("en", "zh-CN")
VERDICTS = {
    HOLDS: ("✓", "holds", "成立"),
    FAILS: ("✗", "fails", "不成立"),
    DEPENDS: ("≈", "depends", "视情况而定"),
}
WORDS = {
    "title": ("The notes' claims, put to the test", "检验笔记中的论断"),
    "claim": ("Claim", "论断"),
    "verdict": ("Verdict", "结论"),
    "how": ("What is done", "做法"),
    "rule": ("The rule, fixed beforehand", "事先定下的判据"),
    "numbers": ("Numbers", "数值"),
    "remark": ("Beside the notes", "与笔记对照"),
    "setting": ("Setting", "设置"),
    "command": ("Command", "命令"),
    "sources": ("Sources", "来源"),
    "files": ("Files", "文件"),
    "measured": ("measured in {:g} s", "测量用时 {:g} 秒"),
    "notes": ("The notes: {}", "笔记：{}"),
    "playground": (
        "Playground: move the learning rates, β and ε, or write your own rule",
        "交互演示：调节学习率、β 和 ε，或编写自己的更新规则",
    ),
    "one_name": (
        "One name, five formulas: the notes, optax, torch, Keras and TensorFlow 1 in one race",
        "同名不同式：笔记、optax、torch、Keras 与 TensorFlow 1 同场比较",
    ),
    "try": ("Open in the playground", "在交互演示中打开"),
    "open": (" (download it and open it in a browser)", "（下载后用浏览器打开）"),
    "quick": (
        "made with --quick: smaller settings, and verdicts that may differ",
        "以 --quick 生成：设置较小，结论可能不同",
    ),
    "intro": (
        "Each claim of the study notes is a program: it measures, and a rule that was fixed "
        "beforehand turns the numbers into a verdict. “Depends” means that the claim is right in "
        "some of the cases that it speaks of. Of numbers with chance in them the median over the "
        "seeds is given, with the lowest and the highest.",
        "学习笔记中的每条论断都是一个程序：它先测量，再由事先定下的判据把数值变成结论。“视情况而定”"
        "指论断只在它所说的部分情形下成立。含随机性的数值给出各随机种子的中位数，括号内为最小值与最"
        "大值。",
    ),
}

# Where the notes say it, in Chinese, piece by piece.
PLACES = {
    "Claims about the optimizers": "关于优化器的论断",
    "Optimizers": "优化器",
    "The network and its parts": "网络及其组成部分",
    "Entropy": "熵",
    "the column “beware”": "“注意”一栏",
    "claims": "论断",
    "down-sampling": "下采样",
    "last row": "最后一行",
}

_HIGH = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Story(NamedTuple):
    """A study that has run: its name, what it says of itself, and its result.json."""

    name: str
    about: About
    result: dict[str, Any]


def word(name: str, language: str) -> str:
    """One of WORDS."""
    return WORDS[name][LANGUAGES.index(language)]


def said(story: Story, field: str, language: str) -> str:
    """A text of ABOUT, or the verdict's reason, in a language; the rule with its numbers."""
    suffix = "" if language == "en" else "_zh"
    if field == "reason":
        return story.result["verdict"][f"reason{suffix}"]
    if field == "section":
        return _section(story.about.section, language)
    text = getattr(story.about, f"{field}{suffix}")
    return text.format(**story.about.threshold) if field == "rule" else text


def _section(section: str, language: str) -> str:
    if language == "en":
        return section
    return "，".join(
        f"第 {piece.replace(' and ', '、')} 条" if piece[0].isdigit() else PLACES.get(piece, piece)
        for piece in section.split(", ")
    )


def counted(stories: list[Story], language: str) -> str:
    """How many claims hold, fail, and depend."""
    found = [story.result["verdict"]["word"] for story in stories]
    place = 1 + LANGUAGES.index(language)
    colon = ": " if language == "en" else "："
    parts = (f"{names[place]}{colon}{found.count(v)}" for v, names in VERDICTS.items())
    return " · ".join(parts)


def number(x: Any) -> str:
    """A number to three digits, or a median with its range.

    >>> [number(x) for x in (0.01234, 1234567, 3.0, 1e-9, float("inf"), -0.5)]
    ['0.0123', '1,234,567', '3', '1.0 × 10⁻⁹', '∞', '−0.5']
    >>> number({"median": 2.0, "lowest": 1.0, "highest": 3.0})
    '2 (1 – 3)'
    """
    if isinstance(x, dict):
        median, lowest, highest = (number(x[name]) for name in ("median", "lowest", "highest"))
        return median if lowest == highest else f"{median} ({lowest} – {highest})"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if x == round(x) and abs(x) < 1e9:
        text = f"{round(x):,}"
    elif 1e-3 <= abs(x) < 1e4:
        text = f"{x:.3g}"
    else:
        mantissa, exponent = f"{x:.1e}".split("e")
        text = f"{mantissa} × 10{str(int(exponent)).translate(_HIGH)}"
    return text.replace("-", "−")


def marked(text: str) -> str:
    """Text as HTML: what is set low or high by _ and ^ gets its tags, and 1e-05 is spelt out.

    >>> marked("1e-05 or -2")
    '1 × 10<sup>−5</sup> or −2'
    >>> marked("m_{t−1} + β^t < x_i, but from_torch")
    'm<sub>t−1</sub> + β<sup>t</sup> &lt; x<sub>i</sub>, but from_torch'
    """
    text = re.sub(
        r"(?<=\d)e([-+]\d+)", lambda m: f" × 10^{int(m[1])}", html.escape(text, quote=False)
    )
    text = re.sub(r"(?<![\w^{-])-(?=\d)", "−", text)
    for mark, tag in (("_", "sub"), (r"\^", "sup")):
        one = r"\{([^}]*)\}|(-?\d+(?:\.\d+)?|[A-Za-z])(?![A-Za-z0-9])"
        parts = re.split(rf"(?<=\S){mark}(?:{one})", text)  # text, in braces, one sign, text, …
        inner = [
            f"<{tag}>{(a or b).replace('-', '−')}</{tag}>" for a, b in zip(parts[1::3], parts[2::3])
        ]
        text = "".join(x for pair in zip(parts[::3], [*inner, ""]) for x in pair)
    return text


def each(*texts: str) -> str:
    """A text in every language as HTML; the page shows one of them."""
    return "".join(f'<span lang="{tag}">{marked(text)}</span>' for tag, text in zip(TAGS, texts))


def link(address: str, *texts: str) -> str:
    """The same as a link; to another of the gallery's pages it keeps the language."""
    return f'<a href="{html.escape(address)}">{each(*texts)}</a>'
