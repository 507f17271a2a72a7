"""Entropy, cross-entropy and information gain against SciPy, optax, torch, float64 and trees.

Most tests compile one program. Its labels are constants, so they are checked as outside `jit`.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp, softmax

from jaxopt_notes.losses import cross_entropy, entropy, information_gain

RNG = np.random.default_rng(0)
LOGITS = np.float32(RNG.normal(size=(32, 10)) * 3)
LABELS = RNG.integers(0, 10, 32)
SOFT = np.float32(RNG.dirichlet(np.full(10, 0.3), 32))
WEIGHTS = np.float32(RNG.uniform(0.1, 3, 10))


def with_gradient(losses):
    """(logits, labels) -> the loss of each row and the gradient of their mean, as one program."""

    def mean(z, y):
        rows = losses(z, y)
        return rows.mean(), rows

    def both(z, y):
        grad, rows = jax.grad(mean, has_aux=True)(z, y)
        return rows, grad

    return jax.jit(both)


losses_and_gradient = with_gradient(cross_entropy)
optaxs_losses_and_gradient = with_gradient(optax.softmax_cross_entropy_with_integer_labels)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_value_and_gradient_equal_optax(scale):
    logits = np.float32(scale / 3) * LOGITS
    loss, grad = losses_and_gradient(logits, LABELS)
    expected, expected_grad = optaxs_losses_and_gradient(logits, LABELS)
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-5, atol=1e-7)


def test_value_equals_float64():
    logits = np.random.default_rng(0).normal(size=(16, 5)) * 20
    labels = np.arange(16) % 5
    expected = logsumexp(logits, axis=1) - logits[np.arange(16), labels]
    got = jax.jit(lambda z: cross_entropy(z, labels))(np.float32(logits))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_saturated_logits_stay_finite():
    @jax.jit
    def losses_and_gradients(logits):
        def total(z, labels, smoothing):
            return cross_entropy(z, labels, label_smoothing=smoothing).sum()

        return [
            jax.value_and_grad(total)(logits, labels, smoothing)
            for labels in (np.array([0, 0]), np.float32([[1.0, 0.0], [0.5, 0.5]]))
            for smoothing in (0.0, 0.1)
        ]

    for loss, grad in losses_and_gradients(np.float32([[1e30, -1e30], [-1e30, 1e30]])):
        assert np.isfinite(loss)
        assert np.isfinite(grad).all()


def test_a_small_loss_beside_large_logits_keeps_its_digits():
    both = jax.jit(lambda z: [cross_entropy(z, np.array(y)) for y in ([0], [[1.0, 0.0]])])
    for loss in both(np.float32([[1000.0, 990.0]])):
        np.testing.assert_allclose(loss, math.log1p(math.exp(-10)), rtol=2e-3)


def test_a_class_ruled_out_adds_nothing_and_gets_no_gradient():
    logits, soft = np.float32([[0.0, 1.0, -np.inf]]), np.float32([[0.5, 0.5, 0.0]])

    @jax.jit
    def losses_and_gradients(logits, y):
        loss, grad = jax.value_and_grad(lambda z: cross_entropy(z, soft).sum())(logits)
        towards = jax.grad(lambda y: cross_entropy(logits, y).sum())(y)
        return loss, cross_entropy(logits[:, :2], soft[:, :2])[0], grad[0], towards

    loss, without, grad, towards = losses_and_gradients(logits, soft)
    np.testing.assert_allclose(loss, without, rtol=1e-6)
    np.testing.assert_allclose(grad, [-0.23105858, 0.23105858, 0.0], rtol=1e-6)
    assert np.isfinite(towards).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_soft_and_one_hot_labels_equal_optax(smoothing):
    one_hot = [np.eye(10, dtype=dtype)[LABELS] for dtype in (np.float32, np.int32)]

    @jax.jit
    def losses(logits):
        smooth = optax.smooth_labels(SOFT, smoothing)
        ours = [
            cross_entropy(logits, labels, label_smoothing=smoothing)
            for labels in (SOFT, LABELS, *one_hot)
        ]
        return optax.softmax_cross_entropy(logits, smooth), *ours

    expected, soft, integer, *by_one_hot = losses(LOGITS)
    np.testing.assert_allclose(soft, expected, rtol=1e-5)
    for loss in by_one_hot:
        np.testing.assert_allclose(loss, integer, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels", [LABELS, SOFT], ids=["integer", "soft"])
def test_value_and_gradient_equal_torch(smoothing, weighted, labels):
    torch = pytest.importorskip("torch")
    weights = WEIGHTS if weighted else None
    options = {"reduction": "none", "label_smoothing": smoothing}
    if weighted:
        options["weight"] = torch.tensor(WEIGHTS)
    z = torch.tensor(LOGITS, requires_grad=True)
    torch_loss = torch.nn.functional.cross_entropy(z, torch.tensor(labels), **options)
    torch_loss.sum().backward()

    @jax.jit
    def loss_and_gradient(z):
        loss, pull = jax.vjp(
            lambda z: cross_entropy(z, labels, label_smoothing=smoothing, weights=weights), z
        )
        return loss, pull(jnp.ones_like(loss))[0]

    loss, grad = loss_and_gradient(LOGITS)
    np.testing.assert_allclose(loss, torch_loss.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(grad, z.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_weights_and_smoothing_equal_the_formula_in_float64():
    z, s = LOGITS.astype(np.float64), 0.2
    q = (1 - s) * np.eye(10)[LABELS] + s / 10
    expected = -(WEIGHTS * q * (z - logsumexp(z, axis=1, keepdims=True))).sum(1)
    plain = -(WEIGHTS * np.eye(10)[LABELS] * (z - logsumexp(z, axis=1, keepdims=True))).sum(1)
    smoothed, unsmoothed = jax.jit(
        lambda z: [
            cross_entropy(z, LABELS, label_smoothing=each, weights=WEIGHTS) for each in (s, 0.0)
        ]
    )(LOGITS)
    np.testing.assert_allclose(smoothed, expected, rtol=1e-5)
    np.testing.assert_allclose(unsmoothed, plain, rtol=1e-4)


@jax.jit
def in_units(logits):
    return {
        base: [cross_entropy(logits, labels, base=base) for labels in (LABELS, SOFT)]
        for base in (math.e, 2, 10)
    }


@pytest.mark.parametrize("base", [math.e, 2, 10])
def test_entropy_equals_scipys_in_any_unit(base):
    np.testing.assert_allclose(entropy(SOFT, base), stats.entropy(SOFT, base=base, axis=1), 1e-5)
    np.testing.assert_allclose(entropy(SOFT.T, base, axis=0), entropy(SOFT, base), 1e-5)
    by_base = jax.device_get(in_units(LOGITS))
    for loss, nats in zip(by_base[base], by_base[math.e], strict=True):
        np.testing.assert_allclose(loss * math.log(base), nats, rtol=1e-6)


def test_entropy_is_0_when_certain_and_largest_when_uniform():
    for dtype in (np.float32, np.int32):
        assert entropy(np.eye(8, dtype=dtype)[1]) == 0
    assert jax.jit(entropy)(np.array([1])) == 0
    np.testing.assert_allclose(entropy(np.full(8, 1 / 8, np.float32), base=2), 3)
    uniform, *others = np.asarray(entropy(np.r_[np.full((1, 10), 0.1, np.float32), SOFT[1:]]))
    assert uniform > max(others)


def test_gradient_of_entropy_is_finite_where_p_is_0():
    p = np.float32([0.0, 0.25, 0.75])
    np.testing.assert_allclose(
        jax.jit(jax.grad(entropy))(p), [0, -math.log(0.25) - 1, -math.log(0.75) - 1], rtol=1e-6
    )
    logits = np.float32([0.0, 200.0])  # whose softmax holds an exact 0
    slope = jax.jit(jax.grad(lambda z: entropy(jax.nn.softmax(z))))
    assert np.isfinite(slope(logits)).all()


def test_entropy_of_nan_is_nan_under_jit():
    assert np.isnan(jax.jit(entropy)(np.float32([np.nan, 1.0])))


@jax.jit
def at_and_elsewhere(at, elsewhere, y):
    at_y = jax.value_and_grad(cross_entropy)(at, y)
    return *at_y, cross_entropy(elsewhere, jnp.broadcast_to(y, elsewhere.shape))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.05, 0.5, 5.0]), st.integers(0, 5))
def test_the_minimum_of_cross_entropy_over_its_softmax_is_the_labels_entropy(seed, spread, zeros):
    rng, classes = np.random.default_rng(seed), 8
    y = rng.dirichlet(np.full(classes, spread))
    y[rng.permutation(classes)[:zeros]] = 0
    y = np.float32(y / y.sum() if y.sum() > 0 else np.eye(classes)[0])
    least = float(entropy(y))
    # ŷ = y, where y has zeros as near as a softmax gets.
    with np.errstate(divide="ignore"):
        at_y = np.maximum(np.log(y), np.float32(-100))
    elsewhere = np.float32(rng.normal(size=(20, classes)) * 3)
    loss, grad, losses = jax.device_get(at_and_elsewhere(at_y, elsewhere, y))
    np.testing.assert_allclose(loss, least, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(grad, 0, atol=1e-6)
    assert (losses >= least - 1e-6).all()
    kl = losses[0] - least
    np.testing.assert_allclose(kl, stats.entropy(y, softmax(elsewhere[0])), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_information_gain_equals_its_definition():
    labels, groups = RNG.integers(0, 4, 200), RNG.integers(0, 3, 200)

    def impurity(y):
        return stats.entropy(np.bincount(y))

    parts = [labels[groups == g] for g in range(3)]
    expected = impurity(labels) - sum(len(y) / 200 * impurity(y) for y in parts)
    np.testing.assert_allclose(information_gain(labels, groups), expected, atol=1e-6)
    np.testing.assert_allclose(
        information_gain(labels, groups, groups=7, classes=5, base=2),
        expected / math.log(2),
        atol=1e-6,
    )
    np.testing.assert_allclose(information_gain(labels, labels), impurity(labels), rtol=1e-6)
    assert abs(information_gain(labels, np.zeros(200, int))) < 1e-6
    assert abs(information_gain(np.zeros(9, int), np.arange(9) % 2 == 0)) < 1e-6


def test_the_best_split_of_iris_is_the_one_of_an_entropy_tree():
    """At every inner node of scikit-learn's tree, among all thresholds of all features."""
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.tree import DecisionTreeClassifier

    x, y = datasets.load_iris(return_X_y=True)
    x = x.astype(np.float32)  # as the tree keeps it
    classifier = DecisionTreeClassifier(criterion="entropy", max_depth=3, random_state=0).fit(x, y)
    tree, reached = classifier.tree_, classifier.decision_path(x).toarray().astype(bool)
    gain = jax.jit(
        jax.vmap(lambda y, s: information_gain(y, s, classes=3, base=2), in_axes=(None, 0))
    )
    impurity_of = jax.jit(lambda p: entropy(p, base=2))
    inner = [n for n in range(tree.node_count) if tree.children_left[n] >= 0]
    assert len(inner) >= 4
    for n in inner:
        part, labels = x[reached[:, n]], y[reached[:, n]]
        splits, names = [], []
        for feature in range(4):
            values = np.unique(part[:, feature])
            for threshold in (values[1:] + values[:-1]) / 2:
                splits.append(part[:, feature] <= threshold)
                names.append((feature, threshold))
        gains = np.asarray(gain(labels, np.array(splits)))
        best = {names[i] for i in np.flatnonzero(gains > gains.max() - 1e-6)}
        its = (tree.feature[n], tree.threshold[n])
        assert any(f == its[0] and abs(t - its[1]) < 1e-5 for f, t in best), (its, best)
        impurity = impurity_of(np.bincount(labels, minlength=3) / len(labels))
        np.testing.assert_allclose(impurity, tree.impurity[n], rtol=1e-5)


def test_labels_out_of_range_are_refused_where_known_and_nan_where_not():
    logits = np.zeros((2, 3), np.float32)
    unchecked = jax.jit(lambda y: [cross_entropy(logits, y, label_smoothing=s) for s in (0, 0.1)])
    for bad in (np.array([0, 3]), np.array([-1, 0])):
        with pytest.raises(ValueError, match=r"0 … 2, but one of them is (3|-1)"):
            cross_entropy(logits, bad)
        for losses in unchecked(bad):
            assert np.isnan(losses).sum() == 1
    many = np.zeros((1, 1000), np.float32)  # more classes than the labels' dtype has numbers
    loss = jax.jit(lambda z: cross_entropy(z, np.array([255], np.uint8)))(many)
    np.testing.assert_allclose(loss, math.log(1000), rtol=1e-6)
    assert np.isnan(jax.jit(cross_entropy)(many, np.array([-1], np.int8))).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: entropy(jnp.array([0.5, 0.5]), base=1), ValueError, "base=1"),
        (lambda: entropy(jnp.array([-0.5, 1.5])), ValueError, "negative"),
        (lambda: entropy(jnp.array([0.5, 0.4])), ValueError, "sum to 1"),
        (lambda: cross_entropy(jnp.zeros((2, 3)), jnp.array([0.0, 1.0])), TypeError, "float32"),
        (lambda: cross_entropy(jnp.zeros((2, 3)), jnp.array([0, 1, 2])), ValueError, r"\(3,\)"),
        (lambda: cross_entropy(jnp.zeros((2, 3)), jnp.ones((2, 3))), ValueError, "sum to 1"),
        (
            lambda: cross_entropy(jnp.zeros((2, 3)), jnp.array([0, 1]), weights=jnp.ones(2)),
            ValueError,
            "weights",
        ),
        (
            lambda: cross_entropy(jnp.zeros((2, 3)), jnp.array([0, 1]), label_smoothing=1.5),
            ValueError,
            "label_smoothing=1.5",
        ),
        (lambda: information_gain(jnp.array([0, 1]), jnp.array([0])), ValueError, "shapes"),
        (lambda: information_gain([0, 4], [0, 1], classes=3), ValueError, "classes are 0 … 2"),
        (lambda: information_gain([0.0, 4.0], [0, 1]), TypeError, "float32"),
        (lambda: jax.jit(information_gain)(jnp.array([0]), jnp.array([0])), ValueError, "classes"),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
