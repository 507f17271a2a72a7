"""Every cell of docs/optimizers-by-framework.md is true, and the file is up to date."""

from itertools import combinations
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_notes
from jaxopt_notes import conventions
from jaxopt_notes.verification import around_optimizers, frameworks, oracle_keras, problem, proof
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
        theta, zero = (jax.device_put(x(2, dtype)) for x in (np.ones, np.zeros))
        updates, _ = optimizer.update(zero, optimizer.init(theta), theta)
        updates = np.asarray(updates).astype(np.float32)
        assert np.isfinite(updates).all() == (finite or dtype != jnp.float16)


def clipped_in_torch(call: str, g: np.ndarray, c: float) -> np.ndarray:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    net = torch.nn.Linear(len(g), 1, bias=False, dtype=torch.float64)
    net.weight.grad = torch.tensor(g[None])
    eval(call, {"clip_grad_norm_": torch.nn.utils.clip_grad_norm_, "net": net, "c": c})
    return net.weight.grad.numpy()[0]


def clipped_in_keras(call: str, g: np.ndarray, c: float) -> np.ndarray:
    pytest.importorskip("keras", reason="Keras is not installed")
    keras = oracle_keras.load()
    opt = eval(call, {"SGD": keras.optimizers.SGD, "c": c})
    w = keras.Variable(np.zeros_like(g), dtype="float64")
    opt.build([w])
    (moved,), _ = jax.jit(opt.stateless_apply)([v.value for v in opt.variables], [g], [w.value])
    return -np.asarray(moved)


@pytest.mark.parametrize("size", [0.5, 1.0, 10.0])
@pytest.mark.parametrize("line", around_optimizers.CLIPPING.lines, ids=lambda x: x.framework)
def test_each_framework_clips_as_the_table_says(line: around_optimizers.Line, size: float) -> None:
    c = 1e-5
    g = np.array([0.6, -0.8]) * size * c
    there = around_optimizers.CLIPPING.formulas[line.formula](g, c)
    with jax.enable_x64(True):
        clip = eval(line.here, {"optax": optax, "conventions": conventions, "c": c})
        here, _ = jax.jit(clip.update)(g, clip.init(g))
        np.testing.assert_allclose(here, there, rtol=1e-13)
        if line.framework == "optax":
            clip = eval(f"optax.{line.call}", {"optax": optax, "c": c})
            own, _ = jax.jit(clip.update)(g, clip.init(g))
        else:
            by = {"torch": clipped_in_torch, "Keras 3": clipped_in_keras}[line.framework]
            own = by(line.call, g, c)
    np.testing.assert_allclose(own, there, rtol=1e-13)


@pytest.mark.parametrize("line", around_optimizers.CYCLED.lines, ids=lambda x: x.framework)
def test_each_framework_corrects_a_beta1_that_changes_as_the_table_says(
    line: around_optimizers.Line,
) -> None:
    """A gradient of constant size makes √v̂ 1, so a step of Adam shows m̂."""
    b1s, gs = [0.95, 0.9, 0.85, 0.88], np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    formulas = around_optimizers.CYCLED.formulas
    m_hat = formulas[line.formula](gs, b1s)
    others = [
        formula(gs, b1s) for formula in formulas.values() if formula is not formulas[line.formula]
    ]
    assert all(np.abs(other - m_hat).max() > 0.01 for other in others)
    with jax.enable_x64(True):
        names = {"α": 1.0, "β1": lambda count: jnp.asarray(b1s)[count], "conventions": conventions}
        names |= {"inject_hyperparams": optax.inject_hyperparams, "adam": optax.adam}
        calls = [line.here, *([line.call] if line.framework == "optax" else [])]
        for optimizer in (eval(call, names) for call in calls):
            theta = np.zeros(2)
            state, update = jax.jit(optimizer.init)(theta), jax.jit(optimizer.update)
            for g in gs:
                updates, state = update(g, state, theta)
            np.testing.assert_allclose(-np.asarray(updates), m_hat, rtol=1e-7)
    if line.framework == "torch":
        torch = pytest.importorskip("torch", reason="torch is not installed")
        p = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
        opt = torch.optim.Adam([p], lr=1.0)
        for g, b1 in zip(gs, b1s):
            opt.param_groups[0]["betas"] = (b1, 0.999)
            p.grad, before = torch.tensor(g), p.detach().numpy().copy()
            opt.step()
        np.testing.assert_allclose(before - p.detach().numpy(), m_hat, rtol=1e-7)


def test_the_file_is_the_one_that_is_written() -> None:
    docs = Path(__file__).parents[2] / "docs" / "optimizers-by-framework.md"
    assert docs.read_text(encoding="utf-8") == markdown(), (
        "run python -m jaxopt_notes.verification.differences > docs/optimizers-by-framework.md"
    )
