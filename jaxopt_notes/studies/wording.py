"""How the gallery and its Markdown say things, in English and in Chinese."""

import html
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxopt_notes.studies.study import (
    ADVICE,
    CAN,
    COMPARISON,
    DEPENDS,
    FAILS,
    HOLDS,
    IDENTITY,
    UNDECIDED,
    About,
)

LANGUAGES = ("en", "zh")
TAGS = ("en", "zh-CN")
FILES = {"en": "README.md", "zh": "README.zh-CN.md"}
CODE = "../../../jaxopt_notes/studies/claims"  # seen from a study's folder in docs/studies
VERDICTS = {
    HOLDS: ("✓", "holds", "成立"),
    FAILS: ("✗", "fails", "不成立"),
    DEPENDS: ("≈", "depends", "视情况而定"),
    UNDECIDED: ("?", "not decided", "尚无定论"),
}
KINDS = {
    IDENTITY: ("identity", "恒等式"),
    CAN: ("possibility", "可能性"),
    COMPARISON: ("comparison", "比较"),
    ADVICE: ("advice", "建议"),
}
# How the strip names the verdict's neighbours; a budget that is not here has its own name.
NEIGHBOURS = {
    "half": ("half the threshold", "阈值减半"),
    "double": ("double the threshold", "阈值加倍"),
    "1 epoch": ("1 epoch", "1 轮"),
    **{f"{n} epochs": (f"{n} epochs", f"{n} 轮") for n in (3, 10, 16, 20, 30, 60)},
    **{f"{n} steps": (f"{n} steps", f"{n} 步") for n in (64, 256)},
}
WORDS = {
    "title": ("The notes' claims, put to the test", "检验笔记中的论断"),
    "claim": ("Claim", "论断"),
    "finding": ("Finding", "发现"),
    "verdict": ("Verdict", "结论"),
    "how": ("Method", "方法"),
    "rule": ("The rule", "判据"),
    "numbers": ("Numbers", "数值"),
    "remark": ("Comment", "评注"),
    "setting": ("Setting", "设置"),
    "command": ("Command", "命令"),
    "sources": ("Sources", "来源"),
    "files": ("Data and code", "数据与代码"),
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
    "web": (
        "Web pages with interactive figures: clone the repository and open index.html in a browser",
        "网页版，附可操作的图：克隆仓库后用浏览器打开",
    ),
    "try": ("Open in the playground", "在交互演示中打开"),
    "open": (" (download it and open it in a browser)", "（下载后用浏览器打开）"),
    "quick": (
        "Made with --quick: the settings are smaller, and verdicts may differ.",
        "以 --quick 生成：设置较小，结论可能不同。",
    ),
    "intro": (
        "Each claim of the study notes is a program. It measures, and a rule turns the numbers "
        "into a verdict. Each claim has a page with its picture, its numbers, its method, its "
        "data and its code. Not yet tested: Adam as a default for convolutional and recurrent "
        "networks, transformers, embeddings and reinforcement learning (claim 10).",
        "学习笔记中的每条论断都是一个程序：它先测量，再由判据把数值变成结论。每条论断各有一页，给出"
        "图、数值、方法、数据与代码。尚未检验：Adam 作为卷积网络、循环网络、Transformer、嵌入和强化"
        "学习的默认选择（第 10 条论断）。",
    ),
    "reading": ("How to read the verdicts", "如何理解结论"),
    "terms": (
        "“Depends” means that the claim is right in some of its cases only. “Not decided” means "
        "that the threshold lies inside the measurement's interval. Random results are medians "
        "over seeds: (minimum – maximum) in round brackets, a 95 % interval in square brackets. "
        "An identity is exact; a possibility needs one sound instance; a comparison has an effect "
        "with an interval; advice must hold across tasks and budgets. A verdict is robust if it "
        "stays the same at half and at double its thresholds and at every other training budget.",
        "“视情况而定”指论断只在部分情形下成立；“尚无定论”指阈值落在测量的区间之内。随机结果给出各"
        "随机种子的中位数，圆括号内为最小值与最大值，方括号内为 95 % 区间。“恒等式”须精确成立；“可"
        "能性”只需一个可靠的实例；“比较”给出效应及其区间；“建议”须跨任务、跨预算成立。若阈值减半、"
        "加倍以及其他训练预算下结论都不变，则称该结论稳健。",
    ),
    "all": ("All studies", "全部检验"),
    "previous": ("← Previous", "← 上一条"),
    "next": ("Next →", "下一条 →"),
    "live": ("Try it", "动手试试"),
    "method": ("Method, rule and setting", "方法、判据与设置"),
    "kind": ("Kind", "类型"),
    "strip": ("How robust", "稳健性"),
    "robust": ("robust", "稳健"),
    "fragile": ("not robust", "不稳健"),
    "test_set": ("Test set", "测试集"),
    "registration": ("Registration", "登记"),
    "same": (
        "The rule and the setting that ran ({ran}) are the registered ones; the history of "
        "registered.json shows when they were committed.",
        "运行时的判据与设置（{ran}）与登记的一致；registered.json 的提交历史可查登记时间。",
    ),
    "differs": (
        "The rule or the setting has changed: the study ran under {ran}, and {registered} is "
        "registered.",
        "判据或设置已改动：本项检验按 {ran} 运行，而登记的是 {registered}。",
    ),
    "before": (
        "The study ran before rules were registered.",
        "本项检验运行于判据登记制度建立之前。",
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


def text_of(story: Story, field: str, language: str) -> str:
    """A text of ABOUT, or the verdict's reason, in a language; the rule with its numbers."""
    return re.sub(r"(?<=\d)%", " %", _text_of(story, field, language))


def _text_of(story: Story, field: str, language: str) -> str:
    suffix = "" if language == "en" else "_zh"
    if field == "reason":
        return story.result["verdict"][f"reason{suffix}"]
    if field == "finding":
        return story.result["finding"][LANGUAGES.index(language)]
    if field == "section":
        return _section(story.about.section, language)
    if field == "rule":
        return story.about.rules()[LANGUAGES.index(language)]
    return getattr(story.about, f"{field}{suffix}")


def equations(about: About, language: str) -> tuple[str, ...]:
    """A study's equations, with their words in a language."""
    return about.equations_zh if language == "zh" and about.equations_zh else about.equations


def judges(test_set: str, language: str) -> str:
    """A test set's name and size in a language.

    >>> judges("MNIST, 10,000 images", "zh")
    'MNIST，10,000 张图像'
    """
    if language == "en":
        return test_set
    return test_set.replace(", ", "，").replace("images", "张图像")


def versions(result: dict[str, Any], language: str) -> str:
    """What a study ran with, in a language."""
    names = {"system": "系统"} if language == "zh" else {}
    return ", ".join(f"{names.get(name, name)} {v}" for name, v in result["versions"].items())


def _section(section: str, language: str) -> str:
    if language == "en":
        return section
    return "，".join(
        f"第 {piece.replace(' and ', '、')} 条" if piece[0].isdigit() else PLACES.get(piece, piece)
        for piece in section.split(", ")
    )


def picture(story: Story, language: str) -> str:
    """The file of the picture in a language, or in English where its texts have no translation."""
    return "picture.zh.svg" if language == "zh" and story.about.texts else "picture.svg"


def source(story: Story) -> str:
    """The study's own code, seen from its folder."""
    return f"{CODE}/{story.name.replace('-', '_')}.py"


def counted(stories: Sequence[Story]) -> list[tuple[str, list[int]]]:
    """Each kind that occurs, and how many of its claims have each of VERDICTS."""
    outcomes = [(story.about.kind, story.result["verdict"]["word"]) for story in stories]
    rows = [(kind, [outcomes.count((kind, verdict)) for verdict in VERDICTS]) for kind in KINDS]
    return [row for row in rows if sum(row[1])]


def robustness(story: Story, language: str) -> str:
    """The strip in one line: the verdict at each neighbour, and whether all are the same."""
    place = LANGUAGES.index(language)
    colon, comma = ((": ", ", "), ("：", "，"))[place]
    cells = [
        f"{NEIGHBOURS.get(name, (name, name))[place]}{colon}{VERDICTS[verdict][1 + place]}"
        for name, verdict in story.result["strip"].items()
    ]
    return (
        f"{comma.join(cells)} → {word('robust' if story.result['robust'] else 'fragile', language)}"
    )


def registration(story: Story, language: str) -> str:
    """Whether the rule and the setting that ran are those that were registered."""
    result = story.result
    hashes = {"ran": result["ran_under"], "registered": result["registered"]}
    return word(result["registration"], language).format(**hashes)


def number(x: Any) -> str:
    """A number to three digits, a median with its range, or an estimate with its interval.

    >>> [number(x) for x in (0.01234, 1234567, 3.0, 1e-9, float("inf"), -0.5)]
    ['0.0123', '1,234,567', '3', '1.0 × 10⁻⁹', '∞', '−0.5']
    >>> number({"median": 2.0, "lowest": 1.0, "highest": 3.0})
    '2 (1 – 3)'
    >>> number({"estimate": 2.0, "low": -1.0, "high": 3.0})
    '2 [−1, 3]'
    """
    if isinstance(x, dict) and "estimate" in x:
        estimate, low, high = (number(x[name]) for name in ("estimate", "low", "high"))
        return f"{estimate} [{low}, {high}]"
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
