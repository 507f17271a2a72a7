"""Streams whose target moves: their images and losses, and that the optimizers are ours."""

from typing import Any

import jax
import numpy as np
import optax
import pytest

from jaxopt_notes.studies import streams
from jaxopt_notes.studies.claims import drifting_target
from jaxopt_notes.studies.streams import Learners, centre, digits, followed

MOVES: dict[str, Any] = {
    **{"steps": 12, "parameters": 2, "largest_curvature": 3.0, "noise": 0.5, "drift": 0.1},
    **{"jump": 1.0, "stretch": 4, "scale": 2.0},
}
SHOWN: dict[str, Any] = {
    **{"steps": 8, "batch": 5, "stretch": 4, "turns": 1.0, "dark": 0.1, "widths": [4]},
}


def learners(*rates: float, b2: float = 0.999) -> Learners:
    """One learner a rate, on the second stream."""
    n = len(rates)
    return Learners(np.array(rates), np.full(n, 0.9), np.full(n, b2), np.ones(n, int))


@pytest.mark.parametrize("name", ["adam", "momentum"])
def test_a_learner_is_the_optimizer_on_its_own_stream(name: str) -> None:
    task = centre("scales", 3, MOVES)
    optimizer = optax.adam(0.1, b2=0.9) if name == "adam" else optax.sgd(0.01, momentum=0.9)
    c, noise, scale = (np.asarray(each)[:, 1] for each in task.items)
    x, wanted = np.zeros(2, np.float32), []
    state, update = optimizer.init(x), jax.jit(optimizer.update)
    for t in range(MOVES["steps"]):
        wanted.append(((x - c[t]) ** 2).mean())
        g = scale[t] * (np.float32([1, 3]) * (x - c[t]) + noise[t])
        updates, state = jax.device_get(update(g, state, x))
        x = x + updates
    for at_once in (1, 3):  # the filled-up scan leaves its own learners alone
        losses = followed(name, task, learners(0.1, 0.2, b2=0.9), at_once)
        np.testing.assert_allclose(losses[0], wanted, rtol=2e-5)
        assert losses.shape == (2, 12)
        assert abs(losses[1, 1:] - losses[0, 1:]).min() > 0


def test_centres_drift_and_jump_and_only_scales_scale() -> None:
    still = {**MOVES, "noise": 0.0}
    for scene in ("drift", "jumps", "scales"):
        c, noise, scale = (np.asarray(each) for each in centre(scene, 2, still).items)
        assert c.shape == (12, 2, 2)
        assert not noise.any()
        assert (c[:, 0] != c[:, 1]).any()
        moved = abs(np.diff(c, axis=0)).max(axis=(1, 2))
        assert (moved > 0).sum() == (2 if scene == "jumps" else 11)
        assert sorted(set(scale.ravel())) == ([1, 2] if scene == "scales" else [1])
    assert (scale[4:8] == 2).all()


def test_labels_are_permuted_by_the_stretch_and_images_turn_and_darken() -> None:
    images, labels = streams._halved()
    assert images.shape == (len(labels), 14, 14, 1)
    known = {image.tobytes(): label for image, label in zip(images, labels)}
    x, y = streams._stream("labels", 3, SHOWN)
    true = np.array([[known[image.tobytes()] for image in step] for step in x])
    orders = []
    for part in (slice(0, 4), slice(4, 8)):
        pairs = dict(zip(true[part].ravel(), y[part].ravel()))
        assert [pairs[label] for label in true[part].ravel()] == list(y[part].ravel())
        assert len(set(pairs.values())) == len(pairs)
        orders.append(pairs)
    assert any(orders[0][label] != orders[1][label] for label in set(orders[0]) & set(orders[1]))
    turning, _ = streams._stream("rotation", 3, SHOWN)
    darker, _ = streams._stream("contrast", 3, SHOWN)
    np.testing.assert_array_equal(turning[:4], darker[:4])
    np.testing.assert_allclose(0.1 * turning[4:], darker[4:], rtol=1e-6)


def test_a_turn_by_a_right_angle_is_numpy_s() -> None:
    images = np.random.default_rng(0).random((2, 3, 5, 5, 1)).astype(np.float32)
    turned_images = np.asarray(streams.turned(images, np.float32([np.pi / 2, np.pi])))
    np.testing.assert_allclose(turned_images[0], np.rot90(images[0], -1, (1, 2)), atol=1e-5)
    np.testing.assert_allclose(turned_images[1], np.rot90(images[1], 2, (1, 2)), atol=1e-5)


@pytest.mark.slow
def test_a_bandit_learns_of_its_choice_alone() -> None:
    task = digits("bandit", 1, {**SHOWN, "steps": 2, "batch": 1})
    params = jax.tree.map(lambda leaf: leaf[0], task.start)
    x, y, key = (jax.tree.map(lambda leaf: leaf[0, 0], each) for each in task.items)
    _, explore = jax.random.split(key)
    for seed in range(4):
        g, wrong = task.gradient(params, (x, y, jax.random.fold_in(explore, seed)))
        assert (np.asarray(g["logits"]["bias"]) != 0).sum() == 1
    z = np.asarray(streams.pure(_network()).apply(params, {}, x)[0])
    assert wrong == (z.argmax() != y[0])


def _network() -> Any:
    return streams.MLP(streams.nnx.Rngs(0), image_shape=(14, 14, 1), widths=(4,))


def test_cost_is_over_the_second_half_of_a_share() -> None:
    by_step = np.array([[4.0, 4, 9, 9, 1, 1, 1, 1], [1, 1, 1, np.nan, 1, 1, 1, np.inf]])
    np.testing.assert_allclose(drifting_target.cost("labels", by_step, 0.5), [9, np.inf])
    np.testing.assert_allclose(drifting_target.cost("drift", by_step, 0.5), [3, np.inf])
    np.testing.assert_allclose(drifting_target.cost("drift", by_step, 1.0), [1, np.inf])
    assert drifting_target.over_time(by_step[:1], 4).tolist() == [6.5, 1]
