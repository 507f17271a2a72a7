"""The loss of a classifier: cross-entropy between its softmax and the labels.

L = −log softmax(z)_y = log Σ_k exp z_k − z_y
"""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Softmax cross-entropy of integer labels, in nats, one value an example.

    Args:
      logits: z, floating, shape (..., classes), before any softmax.
      labels: y, integer, shape (...), in 0 … classes − 1.

    Returns:
      −log softmax(z)_y, shape (...). Finite however large the logits are.

    >>> import jax.numpy as jnp
    >>> print(cross_entropy(jnp.array([[0.0, 0.0], [1000.0, 0.0]]), jnp.array([1, 0])))
    [0.6931472 0.       ]
    """
    picked = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - picked
