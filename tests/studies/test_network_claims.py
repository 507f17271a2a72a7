"""The mathematics of the studies on networks, text and entropy, on small sizes."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes.errors import InputError
from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.studies.claims import (
    depth,
    entropy,
    flatten,
    relu_output,
    second_moment,
    shapes,
    sparse_features,
)


def test_second_moment_of_a_constant_is_its_square_and_of_noise_no_mean() -> None:
    g = jnp.broadcast_to(jnp.array([3.0, -0.5]), (50, 2))
    np.testing.assert_allclose(second_moment.mean_v_hat(g, 0.9), [9, 0.25], rtol=1e-5)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 500))
    assert second_moment.share_of_mean(noise) == pytest.approx(0, abs=0.005)
    assert second_moment.share_of_mean(np.ones((5, 3))) == pytest.approx(1)
    assert second_moment.share_of_mean(1 + noise) == pytest.approx(0.5, abs=0.01)


def test_second_moment_gradients_of_a_batch_are_jax_s() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)).astype(np.float32), jnp.array([0, 2, 1, 1, 0, 2])
    w = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)
    wrong = np.asarray(jax.nn.softmax(x @ w) - jax.nn.one_hot(y, 3))
    loss = lambda w, rows: cross_entropy(x[rows] @ w, y[rows]).mean()  # noqa: E731
    for batch, found in zip(([0, 1, 2], [3, 4, 5]), second_moment._in_batches(x, wrong, 3)):
        np.testing.assert_allclose(
            found, jax.grad(loss)(w, np.array(batch)).ravel(), rtol=1e-4, atol=1e-6
        )


def test_entropy_is_reached_for_soft_labels_and_falls_as_one_over_t_for_one_hot_ones() -> None:
    with jax.enable_x64(True):
        loss, guess = entropy.minimised(jnp.array([0.3, 0.7]), 2.0, 400)
        assert loss[-1] == pytest.approx(-0.3 * np.log(0.3) - 0.7 * np.log(0.7), abs=1e-12)
        np.testing.assert_allclose(guess, [0.3, 0.7], atol=1e-8)
        assert (np.diff(loss) <= 1e-15).all()
        loss, _ = entropy.minimised(jnp.array([1.0, 0.0]), 2.0, 2000)
        assert loss[2000] / loss[1000] == pytest.approx(0.5, rel=0.01)


def test_entropy_gains_are_within_their_limits() -> None:
    least, over = entropy.gains({"splits": 50}, np.random.default_rng(1))
    assert 0 <= least < 0.1
    assert over < 0
    places, gain = entropy.split_curve(np.random.default_rng(1))
    assert abs(places[gain.argmax()]) <= 0.3
    assert gain[0] < 0.01 < 0.5 < gain.max() < 1


def test_flatten_moves_what_the_layout_moves() -> None:
    assert flatten.moved(28, 28, 1) == flatten.moved(1, 1, 64) == 0
    assert flatten.moved(2, 2, 2) == 6 / 8  # 0 2 4 6 1 3 5 7 against 0 … 7: the ends stay
    assert flatten.program(jnp.sin, jnp.ones(3)) != flatten.program(jnp.cos, jnp.ones(3))


def test_shapes_side_is_counted_by_hand() -> None:
    for n, k, s, p in ((6, 3, 1, 0), (6, 3, 2, 0), (28, 3, 1, 1), (5, 2, 3, 2), (2, 5, 1, 0)):
        places = len(range(-p, n + p - k + 1, s))
        assert shapes.side(n, k, s, p) == shapes.side_by_xla(n, k, s, p) == places


def test_depth_norms_are_found_below_what_float32_squares() -> None:
    tiny = jnp.array([3e-25, 4e-25])
    assert float(depth._norm(tiny)) == pytest.approx(5e-25, rel=1e-6)
    assert float(depth._norm(jnp.zeros(3))) == 0


@pytest.mark.slow
def test_depth_norms_fall_towards_the_first_layer_and_with_smaller_weights() -> None:
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(8, 4, 4, 1)), jnp.float32), jnp.arange(8)
    setting = {"width": 6, "seeds": 2}
    found = depth.norms("sigmoid", 3, setting, x, y)
    assert found.shape == (2, 2, 3)  # two trials of it, seeds, layers
    assert (found[0, :, 0] < found[0, :, 2]).all()
    relu = depth.norms("relu", 3, setting, x, y)
    assert (relu[1] < relu[0]).all()  # smaller weights, smaller gradients


def test_relu_output_lets_no_gradient_through_where_it_is_zero() -> None:
    z, y = jnp.array([[-1.0, 2.0, -0.5], [0.5, -1.0, 3.0]]), jnp.array([0, 2])

    def loss(z: jax.Array, relu: bool) -> jax.Array:
        return cross_entropy(relu_output.logits_of(z, relu), y).sum()

    with_relu, plain = (np.asarray(jax.grad(loss)(z, relu)) for relu in (True, False))
    assert (with_relu[z < 0] == 0).all()
    assert (with_relu[z > 0] != 0).all()
    assert (plain != 0).all()


@pytest.fixture(scope="module")
def texts() -> sparse_features.Texts:
    return sparse_features.load(["urllib", "logging"], 50)


def test_sparse_features_are_bags_of_length_one(texts: sparse_features.Texts) -> None:
    lengths = np.linalg.norm(texts.bags, axis=1)
    assert ((abs(lengths - 1) < 1e-6) | (lengths == 0)).all()
    assert texts.bags.shape == (len(texts.labels), 50)
    assert set(texts.labels) == {0, 1}
    often = (texts.bags > 0).sum(0)
    assert (np.diff(often) <= 0).all()


def test_sparse_features_trains_on_its_own_texts_only() -> None:
    training, choosing, testing = sparse_features.dealt(3, 100)
    together = np.concatenate([training, choosing, testing])
    assert sorted(together) == list(range(100))
    assert [len(part) for part in (training, choosing, testing)] == [60, 20, 20]
    rows = sparse_features.batches(3, 100, {"steps": 30, "batch": 4})
    assert rows.shape == (30, 4)
    assert sorted(rows[:15].ravel()) == sorted(rows[15:].ravel()) == sorted(training)


def test_sparse_features_slope_of_a_known_law(texts: sparse_features.Texts) -> None:
    setting = {"seeds": 2}
    roots = np.stack(
        [
            (texts.bags[sparse_features.dealt(s, len(texts.labels))[0]] > 0).sum(0) ** 0.5
            for s in range(2)
        ]
    )
    counts, effective, slopes = sparse_features.by_word(texts, roots, 0.1, setting)
    np.testing.assert_allclose(slopes, -0.5, atol=1e-9)
    np.testing.assert_allclose(effective, 0.1 * counts**-0.5)


def test_sparse_features_without_sources_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sparse_features, "sysconfig", SimpleNamespace(get_path=lambda _: tmp_path))
    with pytest.raises(InputError, match="without its library's sources"):
        sparse_features.load(["urllib", "logging"], 50)
