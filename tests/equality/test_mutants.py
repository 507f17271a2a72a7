"""The comparison sees mistakes: each wrong formula of `mutants` differs from optax's."""

import pytest

from tests.equality.cases import CASES, Case
from tests.equality.comparison import assert_same_bits, run
from tests.equality.gradients import tree_and_gradients
from tests.equality.mutants import MUTANTS

BY_NAME = {case.name: case for case in CASES}


def assert_same_updates(case: Case) -> None:
    """The numbers alone: a mistake that shows in the state's classes only would be no proof."""
    params, gradients = tree_and_gradients("mixed", case.real_only)
    ours = run(case.ours(params), params, gradients)
    theirs = run(case.optaxs(params), params, gradients)
    for (our_updates, *_), (their_updates, *_) in zip(ours, theirs, strict=True):
        assert_same_bits(our_updates, their_updates)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_formula_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, wrong, spoils = MUTANTS[mutant]
    assert hasattr(where, name)
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises(AssertionError, match="is not"):
        assert_same_updates(BY_NAME[spoils])
