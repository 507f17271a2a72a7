"""What a study is. Needs no JAX: what a study says of itself is read off its file, not run.

A study is a module of `jaxopt_notes.studies.claims` with, at its top, `ABOUT = About(…)`, all in
literals; and three functions:

    measure(setting) -> Measured              pure: the same setting, the same numbers
    verdict(numbers, threshold) -> Verdict    by the rule that ABOUT states, from the numbers alone
    draw(figure, measured)                    on a matplotlib figure

`registration` hashes rule and setting before a study runs, so that nobody can move the threshold
after seeing the numbers without its showing.
"""

import ast
import hashlib
import importlib
import json
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

from jaxopt_notes.errors import InputError
from jaxopt_notes.studies import claims

HOLDS, FAILS, DEPENDS, UNDECIDED = "holds", "fails", "depends", "not decided"
IDENTITY, CAN, COMPARISON, ADVICE = "identity", "can", "comparison", "advice"

# What rules mean by {undecided}.
UNDECIDED_IF = (
    "A part is not decided if its 95 % interval contains the threshold.",
    "若某一项的 95 % 区间包含阈值，则该项未定。",
)


class About(NamedTuple):
    """What a study says of itself, fixed before it runs. `…_zh` is the same in Chinese.

    Attributes:
      number: its place in the list.
      title: the topic, in two to five words.
      kind: IDENTITY (exact), CAN (one sound instance suffices), COMPARISON (an effect with its
        interval) or ADVICE (across tasks and budgets).
      claim: what the notes say, in one sentence.
      section: where they say it.
      how: what is done, in a few sentences.
      setting: all that the measurement depends on, seeds among it.
      quick: what `--quick` puts in place of some of it.
      measured: the name of each number, and what it is in English and in Chinese.
      threshold: the numbers that decide.
      rule: how they decide; names in braces stand for them, {undecided} for UNDECIDED_IF.
      picture: what is to be seen, for who cannot see it.
      remark: where the notes are put badly, and who says so.
      sources: papers and books.
      equations: in Unicode, with _ and ^ before what stands low or high.
      equations_zh: the same with Chinese words; without it they hold no words.
      findings: for each verdict that the rule can give, the finding in one line, in English and in
        Chinese; names in braces stand for numbers (of a spread, its median; see `Points`).
      texts: the picture's texts in Chinese, by the English ones; {} stands for what varies. Without
        them the picture is English on Chinese pages too.
      reachable: for verdicts that some setting leads to, what this setting puts in place of the
        quick one.
    """

    number: int
    title: str
    title_zh: str
    kind: str
    claim: str
    claim_zh: str
    section: str
    how: str
    how_zh: str
    setting: dict[str, Any]
    quick: dict[str, Any]
    measured: dict[str, tuple[str, str]]
    threshold: dict[str, float]
    rule: str
    rule_zh: str
    picture: str
    picture_zh: str
    sources: tuple[str, ...]
    remark: str = ""
    remark_zh: str = ""
    equations: tuple[str, ...] = ()
    equations_zh: tuple[str, ...] = ()
    findings: Mapping[str, tuple[str, str]] = MappingProxyType({})
    texts: Mapping[str, str] = MappingProxyType({})
    reachable: Mapping[str, dict[str, Any]] = MappingProxyType({})

    def setting_for(self, quick: bool) -> dict[str, Any]:
        """The whole setting."""
        return {**self.setting, **self.quick} if quick else self.setting

    def rules(self) -> list[str]:
        """The rule with its numbers, in English and in Chinese."""
        texts = zip((self.rule, self.rule_zh), UNDECIDED_IF)
        return [text.format(undecided=sentence, **self.threshold) for text, sentence in texts]


class Measured(NamedTuple):
    """What a study measured.

    Attributes:
      numbers: what decides: a number, or a `spread` over seeds, for each name in ABOUT.measured.
      series: what is drawn: columns of numbers, of any lengths.
      budgets: of a claim about training, the same numbers at other budgets, by the budget's name.
    """

    numbers: dict[str, Any]
    series: dict[str, Any]
    budgets: Mapping[str, dict[str, Any]] = MappingProxyType({})


class Verdict(NamedTuple):
    """HOLDS, FAILS, DEPENDS or UNDECIDED, and the numbers that say so in a sentence."""

    word: str
    reason: str
    reason_zh: str


def spread(values: Any) -> dict[str, float]:
    """Median, lowest and highest of a number over the seeds.

    Of five independent values, the range holds the true median with probability 1 − 2 · 2⁻⁵ = 94 %.

    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'lowest': 1.0, 'highest': 3.0}
    """
    ordered = sorted(float(x) for x in values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return {"median": median, "lowest": ordered[0], "highest": ordered[-1]}


def middle(numbers: dict[str, Any]) -> dict[str, Any]:
    """Numbers, with the median of a spread and the estimate of an interval in its place.

    >>> middle({"a": 1, "b": {"median": 2, "lowest": 0, "highest": 5}})
    {'a': 1, 'b': 2}
    """
    return {
        name: x.get("median", x.get("estimate")) if isinstance(x, dict) else x
        for name, x in numbers.items()
    }


def finding(about: About, word: str, numbers: dict[str, Any]) -> list[str]:
    """The verdict's finding in one line, in English and in Chinese; the title where it has none."""
    texts = about.findings.get(word)
    if texts is None:
        return [about.title, about.title_zh]
    values = {n: Points(x) if isinstance(x, float) else x for n, x in middle(numbers).items()}
    return [text.format(**values) for text in texts]


class Points(float):
    """Points by which something is behind; its texts name the side.

    >>> Points(4.51).behind, Points(-0.1).behind, Points(-0.04).behind
    ('4.5 points behind', '0.1 points ahead', 'level')
    >>> Points(-0.1).behind_zh
    '领先 0.1 个百分点'
    """

    @property
    def behind(self) -> str:
        """The points in English, behind or ahead."""
        side = "behind" if self > 0 else "ahead"
        return f"{abs(self):.1f} points {side}" if round(self, 1) else "level"

    @property
    def behind_zh(self) -> str:
        """The points in Chinese, behind or ahead."""
        side = "落后" if self > 0 else "领先"
        return f"{side} {abs(self):.1f} 个百分点" if round(self, 1) else "持平"


def strip(
    judge: Callable[[dict[str, Any], dict[str, float]], Verdict],
    measured: Measured,
    threshold: dict[str, float],
) -> dict[str, str]:
    """The verdict at half and double every threshold, and at the other budgets."""
    return {
        "half": judge(measured.numbers, _scaled(threshold, 0.5)).word,
        "double": judge(measured.numbers, _scaled(threshold, 2.0)).word,
        **{budget: judge(n, threshold).word for budget, n in measured.budgets.items()},
    }


def _scaled(threshold: dict[str, float], by: float) -> dict[str, float]:
    return {name: by * value for name, value in threshold.items()}


@cache
def names() -> tuple[str, ...]:
    """All studies, in the order of their numbers."""
    modules = (module.name for module in pkgutil.iter_modules(claims.__path__))
    return tuple(
        sorted((name.replace("_", "-") for name in modules), key=lambda n: about(n).number)
    )


@cache
def about(name: str) -> About:
    """ABOUT of a study, without importing it."""
    for node in _tree(name).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _is_about(node):
            keywords = node.value.keywords
            return About(**{str(k.arg): ast.literal_eval(k.value) for k in keywords})
    raise ValueError(f"study {name}: its file has no ABOUT = About(…)")


def load(name: str) -> ModuleType:
    """The study itself."""
    return importlib.import_module(_module(name))


def key(name: str, setting: dict[str, Any]) -> str:
    """Which measurement this is: the setting and the code that measures.

    What only tells, judges or draws is left out: it can change, and the measurement stays.
    """
    nodes = [node for node in _tree(name).body[1:] if not _only_tells(node)]
    code = ast.unparse(ast.Module(nodes, []))
    hashed = json.dumps([setting, code], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(hashed.encode()).hexdigest()[:16]


def function(name: str, called: str) -> ast.FunctionDef:
    """A function of a study's file, as it is written there."""
    for node in _tree(name).body:
        if isinstance(node, ast.FunctionDef) and node.name == called:
            return node
    raise ValueError(f"study {name}: its file has no function {called}")


def check_name(name: str) -> None:
    """Raises InputError for a study that is not there."""
    if name not in names():
        raise InputError(f"study {name!r}: unknown; pass one of {', '.join(names())}")


def _module(name: str) -> str:
    return f"{claims.__name__}.{name.replace('-', '_')}"


def _tree(name: str) -> ast.Module:
    spec = find_spec(_module(name))
    if spec is None or spec.origin is None:
        raise ValueError(f"study {name}: it has no file")
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _is_about(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == "ABOUT" for target in targets)


def _only_tells(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name in ("verdict", "draw") or node.name.startswith("_draw")
    return _is_about(node)
