"""A shifted image has the same pixels, moved; all shifts are equally frequent."""

import jax
import numpy as np

from jaxopt_notes import sgd
from jaxopt_notes.models import MLP
from jaxopt_notes.training.augment import shift
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, Normalization, make_train_step
from tests.training.small_networks import drawn


def test_each_image_is_cut_from_its_padded_self_and_all_moves_are_as_frequent():
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    images = np.broadcast_to(image, (4500, 5, 4, 3))
    moved = np.asarray(jax.jit(shift, static_argnames="by")(jax.random.key(0), images, by=1))
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    moves = [padded[i : i + 5, j : j + 4] for i in range(3) for j in range(3)]
    counts = [int((moved == move).all(axis=(1, 2, 3)).sum()) for move in moves]
    assert sum(counts) == 4500
    assert min(counts) > 400
    assert max(counts) < 600
    assert moved.dtype == np.uint8


def test_no_shift_leaves_images_alone():
    images = np.arange(16.0).reshape(1, 4, 4, 1)
    assert shift(jax.random.key(0), images, by=0) is images


def test_the_step_shifts_anew_each_time_and_repeats_itself(digits):
    model = drawn(MLP, widths=(8,))
    batch = Batch(digits.train_images[:32], digits.train_labels[:32])
    still, optimizer = Normalization((0.0,), (1.0,)), sgd(0.0)
    state = create(model, optimizer, jax.random.key(0))
    step = jax.jit(make_train_step(model, optimizer, still, shift_by=2))
    later, first = step(state, batch)
    assert float(step(state, batch)[1].loss) == float(first.loss)
    assert float(step(later, batch)[1].loss) != float(first.loss)
