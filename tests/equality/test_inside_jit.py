"""Inside jit a step is optax's to two units in the last place.

XLA fuses and contracts as it sees fit, so both sides are jitted, each by itself: in one program
their common subexpressions would be merged. Both start each step from optax's state, so that what
is compared is a step, not what a hundred steps make of a rounding. The trees are float32: between
the operations of one program XLA may leave a bfloat16 unrounded, and does so in one of two programs
and not in the other (adamw with a scheduled decay, whose update of a bfloat16 is a float32).
"""

from typing import Any

import jax
import optax
import pytest

from tests.equality.cases import CASES, PROVED, Case
from tests.equality.comparison import assert_same_kind, ulps_apart
from tests.equality.gradients import tree_and_gradients
from tests.virtual_devices import BY_DEFAULT


def jitted_step(optimizer: optax.GradientTransformation) -> Any:
    """(gradient, state, params) -> (updates, params, state), compiled as by default."""

    def step(g: Any, state: Any, params: Any) -> Any:
        updates, state = optimizer.update(g, state, params)
        return updates, optax.apply_updates(params, updates), state

    return jax.jit(step, compiler_options=BY_DEFAULT)


# Each optimizer's last setting of the proof; the proof's settings are the first cases.
QUICK = {c.optimizer: c for c in CASES[: len(PROVED)]}.values()
ALL = [(c, "single") for c in CASES if c not in QUICK]
ALL += [(c, "many") for c in CASES[: len(PROVED)]]


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
def test_a_jitted_step_is_within_two_units_in_the_last_place(case: Case) -> None:
    assert_close_steps(case, "single")


@pytest.mark.slow
@pytest.mark.parametrize(("case", "tree"), ALL, ids=lambda x: getattr(x, "name", x))
def test_each_case_is_within_two_units_in_the_last_place(case: Case, tree: str) -> None:
    assert_close_steps(case, tree)


def assert_close_steps(case: Case, tree: str) -> None:
    params, gradients = tree_and_gradients(tree)
    ours, optax_step = jitted_step(case.ours(params)), jitted_step(case.optaxs(params))
    state = case.optaxs(params).init(params)
    for g in gradients:
        here, there = ours(g, state, params), optax_step(g, state, params)
        assert ulps_apart(here, there) <= 2
        _, params, state = there
    assert_same_kind(here, there)
