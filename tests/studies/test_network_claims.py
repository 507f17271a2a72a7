"""The mathematics of the studies on networks, text and entropy, on small sizes."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax, softmax

from jaxopt_notes.conventions import notes
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
    g = np.tile(np.float32([3.0, -0.5]), (50, 1))
    mean_v_hat = jax.jit(second_moment.mean_v_hat, static_argnums=1)
    np.testing.assert_allclose(mean_v_hat(g, 0.9), [9, 0.25], rtol=1e-5)
    noise = np.random.default_rng(0).normal(size=(400, 500))

    def share(g: np.ndarray, batch: float) -> np.ndarray:
        return second_moment.share_of_mean(g.sum(0), (g**2).sum(0), len(g), batch)

    assert share(noise, 1).mean() < 0.005
    assert share(np.ones((5, 3)), 1) == pytest.approx(1)
    assert np.median(share(1 + noise, 1)) == pytest.approx(0.5, abs=0.01)
    assert np.median(share(1 + noise, 9)) == pytest.approx(0.9, abs=0.01)  # 1 / (1 + 1/9)
    assert len(share(np.c_[noise, np.zeros(400)], 1)) == 500  # one is always 0


def test_second_moment_sums_are_of_single_images_gradients() -> None:
    rng = np.random.default_rng(0)
    x, y = np.float32(rng.normal(size=(6, 4))), np.array([0, 2, 1, 1, 0, 2])
    params = [
        (np.float32(rng.normal(size=size)), np.zeros(size[1], np.float32))
        for size in ((4, 5), (5, 3))
    ]
    total, squares = map(np.asarray, second_moment._sums(params, x, y))
    (w, b), (u, c) = params
    hidden = np.maximum(x @ w + b, 0)
    wrong = softmax(hidden @ u + c, axis=1) - np.eye(3)[y]
    by_image = hidden[:, :, None] * wrong[:, None]  # the last layer's weights
    at = slice(4 * 5 + 5, 4 * 5 + 5 + 5 * 3)
    np.testing.assert_allclose(total[at], by_image.sum(0).ravel(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(squares[at], (by_image**2).sum(0).ravel(), rtol=1e-4, atol=1e-6)


def test_entropy_is_reached_for_soft_labels_and_falls_as_one_over_t_for_one_hot_ones() -> None:
    with jax.enable_x64(True):
        minimised = jax.jit(entropy.minimised, static_argnums=2)
        loss, guess = map(np.asarray, minimised(np.array([0.3, 0.7]), 2.0, 2000))
        assert loss[-1] == pytest.approx(-0.3 * np.log(0.3) - 0.7 * np.log(0.7), abs=1e-12)
        np.testing.assert_allclose(guess, [0.3, 0.7], atol=1e-8)
        assert (np.diff(loss) <= 1e-15).all()
        loss = np.asarray(minimised(np.array([1.0, 0.0]), 2.0, 2000)[0])
        assert loss[2000] / loss[1000] == pytest.approx(0.5, rel=0.01)


def test_entropy_gains_are_within_their_limits() -> None:
    least, over = entropy.gains({"splits": 50}, np.random.default_rng(1))
    assert 0 <= least < 0.1
    assert over < 0
    places, gain = entropy.split_curve(np.random.default_rng(1))
    assert abs(places[gain.argmax()]) <= 0.3
    assert gain[0] < 0.01 < 0.5 < gain.max() < 1


@pytest.mark.usefixtures("compiled_losses")
def test_entropy_s_margin_is_that_of_the_logits() -> None:
    measured = entropy.measure({**entropy.ABOUT.setting, **entropy.ABOUT.quick, "steps": 400})
    y, z = np.eye(10)[0], np.zeros(10)
    for _ in range(400):
        z -= 2 * (softmax(z) - y)
    assert measured.numbers["margin"] == pytest.approx(z[0] - z[1], rel=1e-6)
    assert measured.numbers["margin_growth"] == pytest.approx(1, abs=0.05)


def test_flatten_moves_what_the_layout_moves() -> None:
    assert flatten.moved(28, 28, 1) == flatten.moved(1, 1, 64) == 0
    assert flatten.moved(2, 2, 2) == 6 / 8  # 0 2 4 6 1 3 5 7 against 0 … 7: the ends stay
    assert flatten.program(jnp.sin, np.ones(3)) != flatten.program(jnp.cos, np.ones(3))


def test_shapes_side_is_counted_by_hand() -> None:
    for n, k, s, p in ((6, 3, 1, 0), (6, 3, 2, 0), (28, 3, 1, 1), (5, 2, 3, 2), (2, 5, 1, 0)):
        places = len(range(-p, n + p - k + 1, s))
        assert shapes.side(n, k, s, p) == shapes.side_by_xla(n, k, s, p) == places


def test_depth_norms_are_found_below_what_float32_squares() -> None:
    norm = jax.jit(depth._norm)
    assert float(norm(np.float32([3e-25, 4e-25]))) == pytest.approx(5e-25, rel=1e-6)
    assert float(norm(np.float32([0, 0]))) == 0


def test_depth_s_arms_start_as_they_say() -> None:
    width, seeds = 32, 3
    networks = {name: depth.networks(name, 2, width, seeds) for name in ("relu", "relu_torch")}
    kernels = {
        name: np.stack([m.params["hidden"][1]["kernel"] for m in models])
        for name, models in networks.items()
    }
    assert kernels["relu"].var() * width == pytest.approx(2, rel=0.1)
    assert kernels["relu_torch"].var() * width == pytest.approx(1 / 3, rel=0.1)
    assert abs(kernels["relu_torch"]).max() <= width**-0.5
    assert (kernels["relu"][0] != kernels["relu"][1]).any()
    wanted = depth.pure(depth.MLP(nnx.Rngs(1), widths=(width,) * 2)).params["hidden"][1]["kernel"]
    np.testing.assert_allclose(kernels["relu"][1], wanted, rtol=1e-5)


def test_depth_s_residual_network_adds_what_each_layer_says() -> None:
    rng = np.random.default_rng(0)
    images = np.float32(rng.normal(size=(5, 2, 2, 1)))
    model = depth.pure(
        nnx.eval_shape(lambda: depth.Residual(nnx.Rngs(0), (2, 2, 1), widths=(3, 3, 3)))
    )
    params = jax.tree.map(lambda leaf: np.float32(rng.normal(size=leaf.shape)), model.params)
    outputs, _ = jax.jit(model.apply)(params, model.batch_stats, images)
    hidden, logits = params["hidden"], params["logits"]
    x = np.maximum(images.reshape(5, 4) @ hidden[0]["kernel"] + hidden[0]["bias"], 0)
    for i in (1, 2):
        x = x + np.maximum(x @ hidden[i]["kernel"] + hidden[i]["bias"], 0) / 2**0.5
    wanted = x @ logits["kernel"] + logits["bias"]
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_depth_norms_fall_towards_the_first_layer_with_the_sigmoid_and_torch_s_default() -> None:
    setting = {"images": 48, "gradient_images": 8, "gradient_seeds": 3, "width": 16}
    falling = "sigmoid", "relu_torch"
    level = "sigmoid_batch", "sigmoid_residual", "relu_batch", "relu_residual"
    norms = {name: depth.norms(name, 8, setting) for name in falling + level}
    for name in falling:
        assert norms[name].shape == (3, 8)
        assert (norms[name][:, 1] < 0.2 * norms[name][:, -1]).all(), name
    for name in level:
        assert (norms[name][:, 1] > 0.2 * norms[name][:, -1]).all(), name


def test_relu_output_lets_no_gradient_through_where_it_is_zero() -> None:
    z, y = np.float32([[-1.0, 2.0, -0.5], [0.5, -1.0, 3.0]]), np.array([0, 2])

    ends, certain = relu_output.ARMS, np.float32(100 * np.eye(10)[y])

    @jax.jit
    def slopes_and_losses(z: jax.Array) -> tuple[dict[str, jax.Array], jax.Array, jax.Array]:
        slopes = {
            arm: jax.grad(lambda z, arm=arm: cross_entropy(ends[arm](z), y).sum())(z)
            for arm in ("relu", "logits")
        }
        return slopes, cross_entropy(z, y), cross_entropy(ends["softmax"](certain), y)

    slopes, loss, least = jax.device_get(slopes_and_losses(z))
    assert (slopes["relu"][z < 0] == 0).all()
    assert (slopes["relu"][z > 0] != 0).all()
    assert (slopes["logits"] != 0).all()
    # A softmax with its own loss, −log p, is the logits' cross-entropy; a second one is not.
    np.testing.assert_allclose(-log_softmax(z, axis=1)[[0, 1], y], loss, rtol=1e-5)
    np.testing.assert_allclose(least, np.log(1 + 9 / np.e), rtol=1e-5)


def test_relu_output_loses_a_class_whose_output_never_leads() -> None:
    outputs = np.float32([[0.0, 0, 0], [2, 0, 1], [0, 0, 3], [1, 0, 4]])
    labels = np.array([0, 0, 1, 2])
    recall = jax.jit(relu_output.recall)
    assert recall(outputs, labels).tolist() == [0.5, 0, 1]  # a tie is wrong
    inner = relu_output.PureModel(lambda x: (x, "stats"), {}, {})
    (model,) = relu_output.ending_in([inner], jax.nn.relu)
    output, stats = model.apply(np.float32([-1.0, 2.0]))
    assert (output.tolist(), stats) == ([0, 2], "stats")


def test_relu_output_chooses_by_the_mean_so_that_broken_runs_count() -> None:
    held = np.array([[0.9, 0.9, 0.1], [0.8, 0.8, 0.8]])[..., None]
    runs = relu_output.Runs(np.zeros((2, 3, 1)), {}, {"held": held}, np.zeros((2, 3, 1)))
    assert relu_output.chosen(runs) == 1


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


def test_sparse_features_s_adagrad_is_the_notes_and_shared_divides_by_the_mean() -> None:
    g = {"a": np.float32([3.0, -4.0]), "b": np.float32([0.0])}

    @jax.jit
    def three_updates(g: dict[str, jax.Array]) -> list[list[dict[str, jax.Array]]]:
        by_optimizer = []
        for optimizer in (
            sparse_features.to_the_power(0.1, 0.5, shared=False),
            notes.adagrad(0.1),
            sparse_features.to_the_power(0.1, 0.5, shared=True),
        ):
            updates, state = [], optimizer.init(g)
            for _ in range(3):
                update, state = optimizer.update(g, state)
                updates.append(update)
            by_optimizer.append(updates)
        return by_optimizer

    ours, wanted, shared = jax.device_get(three_updates(g))
    for updates, by_notes in zip(ours, wanted, strict=True):
        for name in g:
            np.testing.assert_allclose(updates[name], by_notes[name], rtol=1e-6)
    np.testing.assert_allclose(shared[0]["a"], -0.1 * g["a"] / (25 / 3) ** 0.5, rtol=1e-6)


def test_sparse_features_without_sources_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sparse_features, "sysconfig", SimpleNamespace(get_path=lambda _: tmp_path))
    with pytest.raises(InputError, match="without its library's sources"):
        sparse_features.load(["urllib", "logging"], 50)
