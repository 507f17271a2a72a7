"""The loss against optax and against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import logsumexp

from jaxopt_notes.losses import cross_entropy


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_value_and_gradient_equal_optax(scale):
    logits = scale * jax.random.normal(jax.random.key(0), (32, 10))
    labels = jax.random.randint(jax.random.key(1), (32,), 0, 10)
    theirs = optax.softmax_cross_entropy_with_integer_labels
    np.testing.assert_allclose(
        cross_entropy(logits, labels), theirs(logits, labels), rtol=1e-5, atol=1e-6
    )
    ours = jax.grad(lambda z: cross_entropy(z, labels).mean())(logits)
    expected = jax.grad(lambda z: theirs(z, labels).mean())(logits)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)


def test_value_equals_float64():
    logits = np.random.default_rng(0).normal(size=(16, 5)) * 20
    labels = np.arange(16) % 5
    expected = logsumexp(logits, axis=1) - logits[np.arange(16), labels]
    got = cross_entropy(jnp.asarray(logits, jnp.float32), jnp.asarray(labels))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_saturated_logits_stay_finite():
    logits = jnp.array([[1e30, -1e30], [-1e30, 1e30]])
    loss, grad = jax.value_and_grad(lambda z: cross_entropy(z, jnp.array([0, 0])).sum())(logits)
    assert jnp.isfinite(loss)
    assert jnp.isfinite(grad).all()
