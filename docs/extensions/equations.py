"""Equations in plain text, `θ ← θ − α m̂_t / (√v̂_t + ε)`: where they stand, and as LaTeX.

What is not wholly understood stays as it is written.
"""

import re

from equation_reader import FUNCTIONS, NotAnEquationError, Reader, tokens

SAID = set("←=√Σ≥≤≈≠")  # without one of these, outside brackets, a text is no equation


def latex(text: str) -> str:
    """The equation as LaTeX; empty where the text is none.

    >>> latex("θ ← θ − α m̂_t / (√v̂_t + ε)")
    'θ \\\\leftarrow θ - \\\\frac{α \\\\hat{m}_{t}}{\\\\sqrt{\\\\hat{v}_{t}} + ε}'
    """
    if not SAID & set(re.sub(r"\([^()]*\)", "", text)):
        return ""
    try:
        return Reader(text).whole()
    except NotAnEquationError:
        return ""


def typeset(text: str) -> list[tuple[str, bool]]:
    """The text in parts, each with whether it is an equation."""
    parts: list[tuple[str, bool]] = []
    for run in _runs(text):
        bare = run.strip()
        if not latex(bare):
            parts.append((run, False))
            continue
        before, after = run.split(bare, 1)
        parts += [(before, False), (bare, True), (after, False)]
    return [part for part in parts if part[0]]


def _runs(text: str) -> list[str]:
    """The text cut where an equation can end: at words, commas and stops outside brackets."""
    cuts, depth = [0], 0
    for kind, part, at in tokens(text):
        depth += (part in "([{") - (part in ")]}") if kind == "other" else 0
        depth = max(depth, 0)
        word = kind == "word" and part not in FUNCTIONS
        alone = part in ("a", "A", "I") and text[at + 1 : at + 2] in (" ", "")
        stop = kind == "other" and part in ",;:.!?（），。；：、"
        if depth == 0 and (word or alone or stop):
            cuts += [at, at + len(part)]
    return [text[i:j] for i, j in zip(cuts, [*cuts[1:], len(text)]) if i < j]
