"""docs/equations.md is what `explain` says, line by line."""

import functools
from pathlib import Path

import optax
import pytest

from jaxopt_notes.microscope import explain
from jaxopt_notes.microscope.equations import checking
from jaxopt_notes.microscope.equations.catalogue import rows
from jaxopt_notes.microscope.equations.operations import number
from jaxopt_notes.microscope.equations.page import HEAD, line_of
from jaxopt_notes.verification.settings import settings
from tests.microscope.equations.explanations import explained

PAGE = Path(__file__).parents[3] / "docs" / "equations.md"
ROWS = [row for section in rows().values() for row in section]


def test_the_page_has_every_row_and_no_other():
    text = PAGE.read_text(encoding="utf-8")
    assert text.startswith(HEAD)
    assert text.count("\n| `") == len(ROWS)
    for title in rows():
        assert f"\n## {title}\n" in text
    assert "could not be put into an equation" not in text


@pytest.mark.parametrize("row", ROWS[3::24], ids=lambda row: row.call)
def test_a_few_rows_are_what_explain_says(row):
    assert line_of(explained(row)) in PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.call)
def test_every_row_is_what_explain_says(row):
    assert line_of(explained(row)) in PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.slow
def test_a_row_of_code_says_what_it_makes():
    for row in ROWS:
        if row.make:
            text = eval(row.call, {"optax": optax})
            assert explain(text, name=row.call).text == explained(row).text


def test_optax_is_covered():
    aliases = {row.call.split()[0] for row in ROWS}
    assert len({a for a in aliases if a.startswith("optax.") and "contrib" not in a}) >= 20
    assert len({a for a in aliases if a.startswith("optax.contrib.")}) >= 8


def _wrong_lines(system):
    """The system with one line at a time off by a hundredth of a percent."""
    for r, regime in enumerate(system.regimes):
        for k, group in enumerate(regime.groups):
            for i, line in enumerate(group.lines):
                # A condition, or a remainder that is 0, cannot be off by a share.
                exact = type(line.expr).__name__.startswith(("Compare", "Remainder"))
                if line.kind in ("count", "schedule") or line.expr.is_number or exact:
                    continue
                lines = list(group.lines)
                lines[i] = line._replace(expr=line.expr * number(1.0001))
                groups = list(regime.groups)
                groups[k] = group._replace(lines=tuple(lines))
                regimes = list(system.regimes)
                regimes[r] = regime._replace(groups=tuple(groups))
                yield f"{line.target} ← {line.expr}", system._replace(regimes=tuple(regimes))


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.call)
def test_every_line_that_is_off_by_a_hundredth_of_a_percent_is_refused(row, monkeypatch):
    # The optimizer is the same whichever line is wrong: one program for all of them.
    monkeypatch.setattr(checking, "_compiled", functools.cache(checking._compiled))
    system = explained(row).system
    steps = 30 if len(system.regimes) == 1 else 100  # enough to meet every case
    for line, wrong in _wrong_lines(system):
        assert not checking.check(wrong, steps).holds, line


@pytest.mark.slow
@pytest.mark.parametrize("setting", settings(), ids=lambda s: f"{s.framework} {s.label}")
def test_every_proved_setting_is_put_into_equations(setting):
    # The proof's schedule is a table of numbers, which is not an equation.
    made = explain(setting._replace(scheduled=False).build(100), name=setting.label)
    assert made.holds, made.text
