"""The equations of docstrings and tables, made LaTeX as one would write it by hand."""

import inspect
import re
import sys

import pytest

from tests.docs.public import ROOT, everything

sys.path.append(str(ROOT / "docs" / "extensions"))

from equations import latex, typeset

BY_HAND = {
    "θ ← θ − α g": r"θ \leftarrow θ - α g",
    "u = −α m̂ / (√v̂ + ε)": r"u = -\frac{α \hat{m}}{\sqrt{\hat{v}} + ε}",
    "v ← β2 v + (1 − β2) g²": r"v \leftarrow β_2 v + (1 - β_2) g^{2}",
    "m̂ = m / (1 − β1^t)": r"\hat{m} = \frac{m}{1 - β_1^{t}}",
    "m̂ ← m / (1 − β₁ᵗ⁺¹)": r"\hat{m} \leftarrow \frac{m}{1 - β_{1}^{t+1}}",
    "θ ← θ − lr / (1 + (t − 1) η) · g_t": (
        r"θ \leftarrow θ - \frac{\mathrm{lr}}{1 + (t - 1) η} \cdot g_{t}"
    ),
    "IG = H − Σ_g n_g / n · h": r"\mathrm{IG} = H - \sum_{g} \frac{n_{g}}{n} \cdot h",
    "u = a (b / c + d) / ((e) (f))": r"u = \frac{a \left( \frac{b}{c} + d \right)}{(e) (f)}",
    "ε = 2.5e-07": r"ε = 2.5 \cdot 10^{-7}",
    "v_t = max(v_1, …, v_t)": r"v_{t} = \mathrm{max}(v_{1}, \dots, v_{t})",
}


@pytest.mark.parametrize("text", BY_HAND)
def test_an_equation_becomes_latex(text):
    assert latex(text) == BY_HAND[text]


@pytest.mark.parametrize(
    "text",
    [
        "a loop over all leaves",
        "adam(b1=0.9)",
        "U(−1/√fan_in, 1/√fan_in)",
        "β in [0, 1)",
        "step = (1",
        "x == y",
        "x ← ",
        "/ a = b",
    ],
)
def test_what_is_not_wholly_understood_stays_as_it_is(text):
    assert typeset(text)
    assert "".join(part for part, _ in typeset(text)) == text
    assert not any(equation for _, equation in typeset(text))


def test_prose_around_an_equation_stays():
    text = "Lion: θ ← θ − α (sign(m) + λ θ), with m from 0."
    assert typeset(text) == [
        ("Lion", False),
        (":", False),
        (" ", False),
        ("θ ← θ − α (sign(m) + λ θ)", True),
        (",", False),
        (" ", False),
        ("with", False),
        (" m ", False),
        ("from", False),
        (" 0", False),
        (".", False),
    ]


def test_each_equation_that_explain_wrote_is_understood():
    page = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    steps = [step for row in rows for step in row[1].split("<br>")]
    assert len(steps) > 200
    left = [step for step in steps if "←" in step and not latex(step.strip().replace("\\|", "|"))]
    # A word of an optimizer's source is no letter, and stays text.
    assert [step for step in left if not re.search(r"\b(?!else|sign)[A-Za-z]{3,}\b", step)] == []
    assert len(left) < 20


def test_each_step_of_a_docstring_is_understood():
    """`θ ← …` stands in a docstring only as an equation."""
    left = []
    for name, value in everything().items():
        text = re.sub(r"`[^`]*`|>>>.*", "", inspect.getdoc(value) or "", flags=re.DOTALL)
        left += [(name, part) for part, equation in typeset(text) if "←" in part and not equation]
    assert left == []
