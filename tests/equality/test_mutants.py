"""The comparison sees mistakes: each wrong formula of `mutants` differs from optax's."""

import pytest
from cases import CASES
from comparison import assert_same_bits, run
from gradients import tree_and_gradients
from mutants import MUTANTS

BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_formula_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, wrong, spoils = MUTANTS[mutant]
    case = BY_NAME[spoils]
    params, gradients = tree_and_gradients("mixed", case.real_only)
    assert hasattr(where, name)
    monkeypatch.setattr(where, name, wrong)
    ours, theirs = (
        run(optimizer, params, gradients) for optimizer in (case.ours(params), case.optaxs(params))
    )
    with pytest.raises(AssertionError, match="is not"):
        for (our_updates, *_), (their_updates, *_) in zip(ours, theirs, strict=True):
            assert_same_bits(our_updates, their_updates)
