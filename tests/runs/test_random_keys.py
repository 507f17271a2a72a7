"""A run draws nothing twice with the same key, and its seed decides every draw."""

import pytest

from tests import drawn_keys

OPTIONS = "--dropout 0.5 --shift 1 --widths 8,8 --epochs 1"
STEPS = 4


@pytest.fixture(scope="module")
def finished_draws():
    """The draws of the runs so far, by seed and repetition."""
    return {}


@pytest.fixture
def draws(ran, finished_draws, monkeypatch):
    """draws(seed) are those of the run with this seed."""

    def run(seed: int, repetition: int = 0) -> drawn_keys.Draws:
        if (seed, repetition) not in finished_draws:
            with monkeypatch.context() as patch:
                finished_draws[seed, repetition] = drawn_keys.record(patch)
                assert ran(f"{OPTIONS} --seed {seed}", anew=True).code == 0
        return finished_draws[seed, repetition]

    return run


def test_each_shift_and_each_layers_dropout_has_a_key_of_its_own_in_each_step(draws):
    """No other key is derived from these keys, and nothing was drawn with them before."""
    run_draws = draws(0)
    assert (run_draws.count("randint"), run_draws.count("bernoulli")) == (STEPS, 2 * STEPS)
    assert len(set(run_draws.keys)) == len(run_draws.keys) == 3 * STEPS
    assert run_draws.derived
    assert not set(run_draws.keys) & {key for _, key in run_draws.derived}


@pytest.mark.slow
def test_the_seed_decides_every_key(draws):
    assert sorted(draws(0).drawn) == sorted(draws(0, repetition=1).drawn)
    assert not set(draws(0).keys) & set(draws(1).keys)


def test_without_dropout_and_shift_a_step_draws_nothing(ran, monkeypatch):
    draws = drawn_keys.record(monkeypatch)
    ran(anew=True)
    assert draws.drawn == []
