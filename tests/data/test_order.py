"""An epoch's order: complete, reproducible, refused where it makes no sense."""

import numpy as np
import pytest

from jaxopt_notes.data import epoch_order
from jaxopt_notes.errors import InputError


def test_every_example_comes_at_most_once_and_the_incomplete_batch_is_dropped():
    order = epoch_order(seed=3, epoch=1, size=103, batch_size=10)
    assert order.shape == (10, 10)
    assert order.dtype == np.int32
    assert np.unique(order).size == 100
    assert order.min() >= 0
    assert order.max() < 103


def test_a_whole_number_of_batches_is_a_permutation():
    order = epoch_order(seed=3, epoch=1, size=100, batch_size=20)
    assert np.array_equal(np.sort(order.ravel()), np.arange(100))


def test_the_dropped_examples_differ_from_epoch_to_epoch():
    epoch_examples = [set(epoch_order(0, epoch, 103, 100).ravel().tolist()) for epoch in range(3)]
    assert len(set(map(frozenset, epoch_examples))) == 3


def test_the_order_is_the_same_on_every_platform_and_numpy():
    expected = [[6, 8, 7, 4], [5, 2, 9, 0]]
    assert epoch_order(seed=42, epoch=7, size=10, batch_size=4).tolist() == expected


def test_seed_and_epoch_each_change_the_order():
    orders = [epoch_order(seed, epoch, 50, 50).tolist() for seed, epoch in [(0, 0), (0, 1), (1, 0)]]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_the_batch_may_be_all_of_the_data():
    assert epoch_order(0, 0, 5, 5).shape == (1, 5)


@pytest.mark.parametrize("batch_size", [0, -1, 101])
def test_a_batch_size_that_gives_no_batch_is_refused(batch_size):
    with pytest.raises(InputError, match=rf"batch_size={batch_size}: .* 1 to 100"):
        epoch_order(0, 0, 100, batch_size)


@pytest.mark.parametrize(("seed", "epoch", "named"), [(-1, 0, "seed=-1"), (0, 2**64, "epoch=")])
def test_a_key_out_of_range_is_refused(seed, epoch, named):
    with pytest.raises(InputError, match=named):
        epoch_order(seed, epoch, 10, 5)
