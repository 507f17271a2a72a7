"""Entropy, cross-entropy and information gain.

    H(p)    = −Σ_k p_k log p_k                              0 log 0 = 0
    L(z, y) = −Σ_k w_k q_k log softmax(z)_k                 q = (1 − s) y + s / K
              log softmax(z)_k = z_k − log Σ_j exp z_j      y one-hot, or any distribution
    IG      = H(Y) − Σ_g n_g / n · H(Y within g)            over the groups g of a split

H is 0 if the outcome is certain and log K if all K outcomes are equally likely. The H of a set of
labels is its impurity. With ŷ = softmax(z), the minimum of −Σ y log ŷ is H(y), at ŷ = y. The base
of the logarithm sets the unit: e for nats, 2 for bits.

Sources: Shannon 1948, "A Mathematical Theory of Communication", §6; Szegedy et al. 2016,
"Rethinking the Inception Architecture", §7 (label smoothing s); Quinlan 1986, "Induction of
Decision Trees", §4 (information gain).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike


def entropy(p: ArrayLike, base: float = math.e, axis: int = -1) -> jax.Array:
    """H(p) = −Σ_k p_k log p_k.

    A p_k of 0 adds nothing. Its derivative would be infinite; this function returns 0, so gradients
    stay finite and an outcome of probability 0 keeps it.

    Args:
      p: distributions along `axis`.
      base: of the logarithm: e for nats, 2 for bits.
      axis: the axis along which each distribution sums to 1.

    Returns:
      The entropies, without `axis`.

    Raises:
      ValueError: base is not above 1; p has a negative element, or does not sum to 1 within
        rounding. The last two cannot be checked where p is traced (under jit, grad or vmap).

    >>> import jax.numpy as jnp
    >>> print(entropy(jnp.array([[0.5, 0.5], [1.0, 0.0]]), base=2))
    [1. 0.]
    """
    unit = _unit(base)
    p = jnp.asarray(p)
    p = p if jnp.issubdtype(p.dtype, jnp.floating) else p.astype(jnp.float32)
    _check_distribution("p", p, axis)
    # Both selects are needed: 0 · log 0 is NaN, and with one select its derivative would be NaN
    # too.
    some = p != 0
    negative = jnp.where(some, p * jnp.log(jnp.where(some, p, 1)), 0).sum(axis)
    return (0 - negative) / unit  # gives 0 instead of −0 for a certain outcome


def cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    *,
    label_smoothing: float = 0.0,
    weights: ArrayLike | None = None,
    base: float = math.e,
) -> jax.Array:
    """L = −Σ_k w_k q_k log softmax(z)_k, one value per example.

    Equal to torch's `CrossEntropyLoss(weight=w, label_smoothing=s, reduction="none")`. For integer
    labels, torch's "mean" divides by Σ_n w_{y_n}, not by the number of examples: write `loss.sum()
    / weights[labels].sum()` here. To weight examples, multiply the result.

    Args:
      logits: z, floating, shape (..., classes), before any softmax. −∞ rules a class out.
      labels: integers in 0 … classes − 1 of shape (...), or distributions, such as one-hot
        vectors, of shape (..., classes).
      label_smoothing: s in [0, 1], the fraction of y that is spread evenly over all classes.
      weights: w, of shape (classes,); None for 1.
      base: of the logarithm: e for nats, 2 for bits.

    Returns:
      The losses, shape (...). They are finite for logits of any size, and NaN where an integer
      label is out of range under jit.

    Raises:
      ValueError: shapes do not fit; s is outside [0, 1] or base not above 1; labels are out of
        range, or no distributions. The last two cannot be checked where labels are traced.
      TypeError: integers are wanted and labels are not.

    >>> import jax.numpy as jnp
    >>> print(cross_entropy(jnp.array([[0.0, 0.0], [1000.0, 0.0]]), jnp.array([1, 0])))
    [0.6931472 0.       ]
    """
    unit = _unit(base)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing={label_smoothing!r} is outside [0, 1]")
    classes = logits.shape[-1]
    w = None if weights is None else jnp.asarray(weights, logits.dtype)
    if w is not None and w.shape != (classes,):
        raise ValueError(f"weights have shape {w.shape}, not {(classes,)}")
    soft = labels.shape == logits.shape
    if soft:
        _check_distribution("labels", labels, -1)
    else:
        _check_classes(logits.shape, labels)
        labels = labels.astype(jnp.int32)  # a small dtype could not hold `classes`
        labels = jnp.where(labels < 0, classes, labels)  # a negative index would count from the end
    # Subtracting the largest logit first keeps the digits of the others.
    z = logits - lax.stop_gradient(logits.max(-1, keepdims=True))
    log_sum = jnp.log(jnp.exp(z).sum(-1))
    if not soft and not label_smoothing:
        losses = log_sum - _pick(z, labels)
        return (losses if w is None else losses * w[labels]) / unit
    q = labels if soft else jax.nn.one_hot(labels, classes, dtype=logits.dtype)
    q = (1 - label_smoothing) * q + label_smoothing / classes
    q = q if w is None else q * w
    # A class with q = 0 adds nothing, even if its logit is −∞: the select avoids 0 · ∞.
    losses = jnp.where(q != 0, q * (log_sum[..., None] - jnp.where(q != 0, z, 0)), 0).sum(-1)
    if not soft:
        losses = jnp.where(labels < classes, losses, jnp.nan)
    return losses / unit


def information_gain(
    labels: ArrayLike,
    split: ArrayLike,
    *,
    classes: int | None = None,
    groups: int | None = None,
    base: float = math.e,
) -> jax.Array:
    """IG = H(Y) − Σ_g n_g / n · H(Y within g): the entropy that a split removes.

    Args:
      labels: integers, shape (n,).
      split: the group of each example, booleans or integers, shape (n,).
      classes: how many labels there are; None counts them, which needs concrete labels.
      groups: how many groups there are; None counts them too, which needs a concrete split
        (booleans form 2 groups).
      base: of the logarithm: e for nats, 2 for bits.

    Returns:
      The gain, a scalar from 0 (all groups have the same distribution of labels) to H(Y) (each
      group has one label).

    Raises:
      ValueError: shapes differ or are empty; labels or split out of range (where concrete); base
        is not above 1; `classes` or `groups` is left out where traced.
      TypeError: labels are not integers, or split neither integers nor booleans.

    >>> import jax.numpy as jnp
    >>> width, iris = jnp.array([0.2, 0.4, 1.3, 1.5]), jnp.array([0, 0, 1, 1])
    >>> print(information_gain(iris, width < 0.8, base=2), information_gain(iris, width < 0.3))
    1.0 0.21576154
    """
    unit = _unit(base)
    y, g = jnp.asarray(labels), jnp.asarray(split)
    if y.shape != g.shape or y.ndim != 1 or not y.size:
        raise ValueError(f"labels and split have shapes {y.shape} and {g.shape}, not (n,) both")
    groups = 2 if g.dtype == bool and groups is None else groups
    g = g.astype(jnp.int32) if g.dtype == bool else g
    classes, groups = _how_many("classes", y, classes), _how_many("groups", g, groups)
    count = jnp.zeros((groups, classes), jnp.float32).at[g, y].add(1)
    size = count.sum(1)
    within = entropy(count / jnp.maximum(size, 1)[:, None] + (size == 0)[:, None] / classes)
    return (entropy(count.sum(0) / y.size) - (size / y.size) @ within) / unit


def _pick(z: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.take_along_axis(z, labels[..., None], axis=-1)[..., 0]


def _unit(base: float) -> float:
    """log base: dividing nats by it gives the unit."""
    if not base > 1:
        raise ValueError(f"base={base!r} is not above 1")
    return 1.0 if base == math.e else math.log(base)


def _concrete(x: jax.Array) -> np.ndarray[Any, Any] | None:
    return None if isinstance(x, jax.core.Tracer) else np.asarray(x)


def _check_distribution(name: str, p: jax.Array, axis: int) -> None:
    known = _concrete(p)
    if known is None:
        return
    if not (known >= 0).all():
        raise ValueError(f"{name} has elements that are negative or NaN")
    floating = jnp.issubdtype(p.dtype, jnp.floating)
    rounding = max(1e-4, 4 * float(jnp.finfo(p.dtype).eps)) if floating else 0
    total = known.astype(np.float64).sum(axis)
    if (abs(total - 1) > rounding).any():
        raise ValueError(f"{name} does not sum to 1, but to {total.flat[abs(total - 1).argmax()]}")


def _check_classes(shape: tuple[int, ...], labels: jax.Array) -> None:
    if labels.shape != shape[:-1]:
        raise ValueError(
            f"labels have shape {labels.shape}, logits {shape}: pass integers of shape "
            f"{shape[:-1]}, or distributions of shape {shape}"
        )
    _check_range("labels", labels, shape[-1])


def _check_range(name: str, x: jax.Array, below: int) -> None:
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise TypeError(f"{name} are {x.dtype}, not integers")
    known = _concrete(x)
    if known is not None and known.size and (known.min() < 0 or known.max() >= below):
        bad = known.min() if known.min() < 0 else known.max()
        raise ValueError(f"{name} are 0 … {below - 1}, but one of them is {bad}")


def _how_many(name: str, x: jax.Array, count: int | None) -> int:
    if count is None:
        known = _concrete(x)
        if known is None:
            raise ValueError(f"{name}: their number is unknown while tracing; pass it")
        count = int(known.max()) + 1
    _check_range(name, x, count)
    return count
