"""What the playground says of a rule that the reader writes."""

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxopt_notes.microscope.steps import probes
from jaxopt_notes.studies import own_rule, playground
from tests.studies.browser import Browser

ADAM = """
s.m = β1 * s.m + (1 - β1) * g
s.v = β2 * s.v + (1 - β2) * g * g
const m = s.m / (1 - β1 ** t), v = s.v / (1 - β2 ** t)
return -α * m / (sqrt(v) + ε)
"""
RMSPROP = "s.E = 0.9 * s.E + 0.1 * g * g; return -α * g / ROOT"

# A rule's text, and regular expressions that its verdict matches.
KNOWN: dict[str, tuple[str, list[str]]] = {
    "sgd": ("return -0.1 * g", [r"^SGD: the default of the notes", r"α = 0\.1\b"]),
    "heavy ball": ("s.v = 0.8 * s.v + g; return -α * s.v", ["plain sum", r"β = 0\.8", "torch"]),
    "average": (
        "s.v = 0.9 * s.v + 0.1 * g; return -α * s.v",
        ["moving average: the default of the notes, optax"],
    ),
    "nesterov": ("s.v = 0.9 * s.v + g; return -α * (g + 0.9 * s.v)", ["^Nesterov's momentum"]),
    "rmsprop, optax": (
        RMSPROP.replace("ROOT", "sqrt(s.E + 1e-8)"),
        ["^RMSProp with ε inside the root: the default of the notes, optax", r"β = 0\.9"],
    ),
    "rmsprop, torch": (
        "s.E = 0.99 * s.E + 0.01 * g * g; return -α * g / (sqrt(s.E) + eps)",
        ["^RMSProp with ε outside the root: the default of torch", r"ε = 10⁻⁸"],
    ),
    "rmsprop, keras": (
        RMSPROP.replace("ROOT", "sqrt(s.E + 1e-7)"),
        ["inside the root: the default of Keras"],
    ),
    "rmsprop, tensorflow 1": (
        "if (t === 1) s.E = 1; " + RMSPROP.replace("ROOT", "sqrt(s.E + 1e-10)"),
        ["the default of TensorFlow 1", r"E₀ = 1\b"],
    ),
    "rmsprop, without ε": (
        RMSPROP.replace("ROOT", "sqrt(s.E)"),
        ["^RMSProp", "No ε", "not a number"],
    ),
    "adagrad, notes": (
        "s.G += g * g; return -α * g / (sqrt(s.G) + 1e-8)",
        ["^AdaGrad with ε outside the root: the default of the notes"],
    ),
    "adagrad, optax": (own_rule.EXAMPLES["adagrad"][2], ["the default of optax, Keras"]),
    "adam": (ADAM, ["^Adam with ε outside the root: the default of the notes, optax, torch"]),
    "adam, keras": (
        ADAM.replace("const m", "const c = sqrt(1 - β2 ** t) / (1 - β1 ** t); const m").replace(
            "m / (sqrt(v) + ε)", "c * s.m / (sqrt(s.v) + 1e-7)"
        ),
        ["before the bias correction", "the default of Keras"],
    ),
    "adam, no correction": (
        own_rule.EXAMPLES["uncorrected"][2],
        ["No bias correction of the first moment", "No bias correction of the second moment"],
    ),
    "adam, no correction of v": (
        ADAM.replace("s.v / (1 - β2 ** t)", "s.v"),
        ["^Adam", "No bias correction of the second moment", "no framework's"],
    ),
    "adam, no correction of m": (
        ADAM.replace("s.m / (1 - β1 ** t)", "s.m"),
        ["No bias correction of the first moment"],
    ),
    "adam, ε inside": (
        ADAM.replace("sqrt(v) + ε", "sqrt(v + ε)"),
        ["ε inside the root", "Every framework's Adam"],
    ),
    "adam, counted from 2": (ADAM.replace("** t", "** (t + 1)"), ["first step counts as 2"]),
    "adam, climbing": (ADAM.replace("return -α", "return α"), ["^Adam", "climbs"]),
    "adamw": (
        ADAM.replace("(sqrt(v) + ε)", "(sqrt(v) + ε) - α * 0.01 * θ"),
        ["^AdamW", "default of torch", r"λ = 0\.01"],
    ),
    "adam, coupled": (
        "const h = g + 0.01 * θ\n" + ADAM.replace("* g * g", "* h * h").replace("* g", "* h"),
        ["passes through the moments"],
    ),
    "amsgrad": (
        ADAM.replace("return", "s.x = max(s.x, s.v)\nreturn").replace(
            "sqrt(v)", "sqrt(s.x / (1 - β2 ** t))"
        ),
        ["^AMSGrad", "torch"],
    ),
    "sign": ("return -α * sign(g)", ["^sign SGD"]),
    "lion": (
        "const u = sign(0.9 * s.m + 0.1 * g); s.m = 0.99 * s.m + 0.01 * g; return -α * u",
        ["^Lion", r"β₂ = 0\.99"],
    ),
    "cube root": ("return -α * cbrt(g)", ["^None of the rules", "nearest"]),
}

# A text that is no rule, and the one line about it.
WRONG = {
    "return -α * (g": "not JavaScript",
    "s.v = g": "Nothing is returned",
    "return -lr * g": "lr is not defined",
    "return 'g'": "string, not a number",
    "return g / 0": "Infinity",
    "return -α * g / (1 - β1 ** (t - 1))": "step 1",
    "while (true) {} return g": "Leave out loops",
    "for (;;) {} return g": "Leave out loops",
    "return f(g); function f(x) { return f(x) }": "call stack",
}


@pytest.fixture(scope="module")
def bench(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    file = tmp_path_factory.mktemp("page") / playground.FILE
    file.write_text(playground.as_page(), encoding="utf-8")
    browser.open(file, 1280)
    return browser


def judge(bench: Browser, text: str) -> str:
    """The English verdict on a text that is typed and run."""
    answer: Any = bench.evaluate(
        f"bench.code.value = {text!r}; document.getElementById('run').click();"
        "bench.verdict.innerText"
    )
    return str(answer)


@pytest.mark.parametrize("name", KNOWN)
def test_a_rule_is_named(name: str, bench: Browser) -> None:
    text, wanted = KNOWN[name]
    verdict = judge(bench, text)
    for words in wanted:
        assert re.search(words, verdict, re.M), verdict


@pytest.mark.parametrize("text", WRONG)
def test_a_text_that_is_no_rule_gets_one_plain_line(text: str, bench: Browser) -> None:
    verdict = judge(bench, text)
    assert WRONG[text] in verdict
    assert len(verdict.splitlines()) == 1
    assert not bench.complaints()


def test_a_sound_rule_has_no_faults(bench: Browser) -> None:
    for name in ("adam", "rmsprop, optax", "heavy ball", "adagrad, notes"):
        judge(bench, KNOWN[name][0])
        assert bench.evaluate("document.querySelectorAll('#verdict li').length") == 0, name


def test_the_rule_walks_beside_the_others(bench: Browser) -> None:
    judge(bench, ADAM)
    bench.evaluate("now.settings.own.α = now.settings.adam.α; to(0); to(80)")
    here, there = (np.array(bench.evaluate(f"now.walkers.{n}.path")) for n in ("own", "adam"))
    np.testing.assert_allclose(here, there, rtol=1e-9)
    keys = "[...document.querySelectorAll('[data-name=own] [data-key]')].map((s) => s.dataset.key)"
    assert bench.evaluate(keys) == ["α", "β1", "β2", "ε"]


def test_the_probes_are_those_of_identify(bench: Browser) -> None:
    here = np.array(bench.evaluate("probes.gradients")).T
    np.testing.assert_allclose(here, probes.histories(probes.STEPS, 1), rtol=1e-3)
    assert bench.evaluate("probes.starts") == probes.starts().tolist()


def test_a_link_brings_a_rule_and_does_not_run_it(bench: Browser, tmp_path: Path) -> None:
    file = tmp_path / playground.FILE
    file.write_text(playground.as_page(), encoding="utf-8")
    bench.open(file, 1280, hash="rule=globalThis.ran%3Dtrue%3Breturn%20-g&on=own")
    assert bench.evaluate("[bench.code.value, globalThis.ran ?? false, 'own' in rules]") == [
        "globalThis.ran=true;return -g",
        False,
        False,
    ]
    bench.evaluate("document.getElementById('run').click()")
    assert bench.evaluate("globalThis.ran") is True
    bench.open(file, 1280, hash="rule=%3Cimg%20src%3Dx%20onerror%3D%22ran%3D1%22%3E")
    bench.evaluate("document.getElementById('run').click()")
    assert bench.evaluate("document.querySelectorAll('#verdict img').length") == 0


def test_verdicts_are_said_in_chinese_too(bench: Browser, tmp_path: Path) -> None:
    file = tmp_path / playground.FILE
    file.write_text(playground.as_page(), encoding="utf-8")
    bench.open(file, 1280)
    bench.evaluate("document.getElementById('language').click()")
    verdict = html.unescape(judge(bench, own_rule.EXAMPLES["uncorrected"][2]))
    assert "二阶矩缺少偏差校正" in verdict
    assert "bias" not in verdict
