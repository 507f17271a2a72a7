"""Outside jit every bit of the parameters, the updates and the state is optax's."""

import pytest

from tests.equality.cases import ROWS, Case
from tests.equality.comparison import assert_same_bits, assert_same_kind, assert_same_path, run
from tests.equality.gradients import precision, tree_and_gradients

# The first of the hundred gradients, those with an infinity or a NaN, and one after each.
STEPS = [0, 1, 2, 3, 4, 5, 31, 32, 41, 61, 62]

each_case = pytest.mark.parametrize("case", ROWS)


@each_case
def test_each_step_has_the_same_bits(case: Case) -> None:
    params, gradients = tree_and_gradients("mixed", case.real_only)
    few = [gradients[step] for step in STEPS]
    assert_same_path(case.ours(params), case.optaxs(params), params, few)


@pytest.mark.slow
@each_case
def test_a_hundred_steps_have_the_same_bits(case: Case) -> None:
    params, gradients = tree_and_gradients("mixed", case.real_only)
    assert_same_path(case.ours(params), case.optaxs(params), params, gradients)


@pytest.mark.slow
@pytest.mark.parametrize("tree", ["x64", "many kinds"])
@each_case
def test_other_trees_have_the_same_bits(case: Case, tree: str) -> None:
    params, gradients = tree_and_gradients(tree, case.real_only)
    few = [gradients[step] for step in STEPS]
    with precision(tree):
        assert_same_path(case.ours(params), case.optaxs(params), params, few)


@each_case
def test_a_tree_without_leaves_is_no_mistake(case: Case) -> None:
    params, gradients = tree_and_gradients("empty", case.real_only)
    assert_same_path(case.ours(params), case.optaxs(params), params, gradients[:2])


@each_case
def test_swapping_half_way_changes_nothing(case: Case) -> None:
    params, gradients = tree_and_gradients("alike")
    ours, optax_optimizer = case.ours(params), case.optaxs(params)
    first, last = gradients[:4], gradients[4:8]

    *_, (_, middle, our_state) = run(ours, params, first)
    *_, (_, middle_of_optax, state_of_optax) = run(optax_optimizer, params, first)
    *_, unswapped = run(ours, middle, last, our_state)
    *_, unswapped_optax = run(optax_optimizer, middle_of_optax, last, state_of_optax)
    *_, to_optax = run(optax_optimizer, middle, last, our_state)
    *_, from_optax = run(ours, middle_of_optax, last, state_of_optax)

    for end in (to_optax, from_optax, unswapped_optax):
        assert_same_kind(end, unswapped)
        assert_same_bits(end, unswapped)
