"""`docs/equations.md`: the equations of ours, of other frameworks' and of optax's optimizers."""

from collections.abc import Iterable

import numpy as np

from jaxopt_notes.microscope.equations.catalogue import Row, rows
from jaxopt_notes.microscope.equations.explaining import explain
from jaxopt_notes.microscope.equations.explanation import Explanation, Hyperparameter
from jaxopt_notes.microscope.equations.showing import head, write_line
from jaxopt_notes.microscope.factories import factory, keywords

HEAD = """# The equations of optimizers

`explain` read each equation off the optimizer's own program, and then stepped both for 100 steps on
gradients from 1e-9 to 1e3. In float64 the numbers agree to 12 digits. Some optimizers compute in
another dtype; there the numbers agree to that dtype's rounding. The lines are in the order in which
a step computes them. g is the gradient, θ are the parameters, and t is the number of the step,
which starts at 1. The state starts at 0 unless the last column says otherwise.

`python -m jaxopt_notes.explain --table docs/equations.md` writes this page.
`python -m jaxopt_notes.explain optax.adamw learning_rate=1e-3` prints one optimizer with all its
remarks, and says what other frameworks mean by its name.
"""


def explained(row: Row) -> Explanation:
    """The explanation of a row."""
    if row.make:
        made: Explanation = explain(row.make(), name=row.call)
        return made
    path, *values = row.call.split()
    explanation: Explanation = explain(factory(path), name=path, **keywords(values))
    return explanation


def page() -> str:
    """The whole page."""
    text = [HEAD]
    for title, own in rows().items():
        text.append(f"\n## {title}\n\n| call | one step | numbers |\n| --- | --- | --- |\n")
        text += [line_of(explained(row)) + "\n" for row in own]
    return "".join(text)


def line_of(e: Explanation) -> str:
    """One line of the page's table."""
    if not e.holds:
        return f"| `{e.name}` | could not be put into an equation: {e.checked.failure} | |"
    cells = []
    for case in e.cases:
        above = head(case, e)
        cells += [f"*{above}:*"] if above else []
        cells += [write_line(e, line) for line in case.lines]
    numbers = [_number(h) for h in e.hyperparameters if h.letter.rstrip("₀") not in e.starts]
    numbers += [f"{k} starts at {v}" for k, v in e.starts.items()]
    numbers += [] if e.checked.dtype == "float64" else [f"computes in {e.checked.dtype}"]
    return " | ".join(["| `" + e.name + "`", _cell(cells), _cell(numbers) + " |"])


def _number(h: Hyperparameter) -> str:
    return (
        f"{h.letter} = {np.format_float_positional(h.value, trim='-')}"
        if (1e-4 < abs(h.value) < 1e6)
        else f"{h.letter} = {h.value:.12g}"
    )


def _cell(lines: Iterable[str]) -> str:
    return "<br>".join(line.replace("|", "\\|") for line in lines)
