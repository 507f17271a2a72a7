"""Every cell of docs/optimizers-by-framework.md is so, and the file is the one that is written."""

from itertools import combinations
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_notes
from jaxopt_notes import conventions
from jaxopt_notes.verification import frameworks, problem, proof
from jaxopt_notes.verification.differences import HALF_PRECISION, TRAPS, Cell, Trap, markdown

STEPS = 60
CELLS = [pytest.param(t, c, id=f"{t.title}: {c.setting.name}") for t in TRAPS for c in t.cells]


def by_equation(cell: Cell) -> problem.Path:
    setting = cell.setting
    return frameworks.path(setting.name, setting.keywords, setting.rate(STEPS), STEPS, "float64")


@pytest.mark.slow
@pytest.mark.parametrize(("trap", "cell"), CELLS)
def test_what_to_write_here_goes_where_the_framework_goes(trap: Trap, cell: Cell) -> None:
    names: dict[str, Any] = {n: getattr(jaxopt_notes, n) for n in jaxopt_notes.__all__}
    known = {**names, "optax": optax, "conventions": conventions, "α": problem.schedule(STEPS)}
    here = problem.path(eval(cell.here, known), STEPS)
    assert problem.apart(here, by_equation(cell), "float64") <= 1e-12
    source = cell.setting.oracles[0]
    if source != "equation":
        pytest.importorskip(source, reason=f"{source} is not installed")
        there = proof.path_of(source, cell.setting, STEPS, "float64")
        assert problem.apart(here, there, "float64") <= 1e-12


@pytest.mark.parametrize("trap", TRAPS, ids=lambda t: t.title)
def test_formulas_differ_where_the_ways_do(trap: Trap) -> None:
    for one, other in combinations(trap.cells, 2):
        same = problem.apart(by_equation(one), by_equation(other), "float64") <= 1e-9
        assert same == (trap.formula(one.terms) == trap.formula(other.terms)), (one, other)


@pytest.mark.parametrize(("call", "finite"), HALF_PRECISION.items())
def test_a_zero_gradient_in_half_precision_is_nan_or_not_as_the_table_says(
    call: str, finite: bool
) -> None:
    names: dict[str, Any] = {n: getattr(jaxopt_notes, n) for n in jaxopt_notes.__all__} | {"α": 0.1}
    optimizer = eval(call, names)
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        theta, zero = jnp.ones(2, dtype), jnp.zeros(2, dtype)
        updates, _ = optimizer.update(zero, optimizer.init(theta), theta)
        assert np.isfinite(updates.astype(jnp.float32)).all() == (finite or dtype != jnp.float16)


def test_the_file_is_the_one_that_is_written() -> None:
    docs = Path(__file__).parents[2] / "docs" / "optimizers-by-framework.md"
    assert docs.read_text(encoding="utf-8") == markdown(), (
        "run python -m jaxopt_notes.verification.differences > docs/optimizers-by-framework.md"
    )
