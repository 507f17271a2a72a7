"""What a run draws at random: nothing twice by the same key, and all of it decided by the seed."""

import collections

import numpy as np
import pytest

from tests import drawn_keys
from tests.run_files import Ran

OPTIONS = "--dropout 0.5 --shift 1 --widths 8,8"
STEPS = 8


@pytest.fixture(scope="module")
def draws():
    """The draws of a run by its seed and its repetition."""
    return {}


@pytest.fixture
def drawn(ran, draws, monkeypatch):
    """drawn(seed) is the list of (function, key) that the run with this seed draws with."""

    def run(seed: int, repetition: int = 0):
        if (seed, repetition) not in draws:
            with monkeypatch.context() as patch:
                recorded = drawn_keys.record(patch)
                result: Ran = ran(f"{OPTIONS} --seed {seed}", anew=True)
            assert result.code == 0
            draws[seed, repetition] = list(recorded)
        return draws[seed, repetition]

    return run


def test_each_consumer_of_each_step_has_a_key_of_its_own(drawn):
    """A shift and two layers' dropout in each step; the kernels before all steps."""
    found = drawn(0)
    count = collections.Counter(name for name, _ in found)
    assert (count["randint"], count["bernoulli"]) == (STEPS, 2 * STEPS)
    assert len(found) == STEPS * 3 + 3
    assert len({key for _, key in found}) == len(found)


def test_the_seed_decides_every_key(drawn):
    assert sorted(drawn(0)) == sorted(drawn(0, repetition=1))
    assert not {key for _, key in drawn(0)} & {key for _, key in drawn(1)}


def test_without_dropout_and_shift_a_step_draws_nothing(ran, monkeypatch):
    recorded = drawn_keys.record(monkeypatch)
    ran(anew=True)
    assert len(recorded) == 2  # the kernels
    assert np.unique([name for name, _ in recorded]).size == 1
