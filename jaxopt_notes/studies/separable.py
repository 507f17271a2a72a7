"""Separable data on which adaptive methods fit every example and learn only one class.

An example with label y = ±1 has features y, 1, 1 and some that no other example has: one if y = 1,
five if y = −1. Label 1 has probability p > ½. Regression with squared loss from w = 0: gradient
descent finds the solution of least norm, which the label's own feature rules. Adam's steps have
the same length for all features, so w stays proportional to sign(Xᵀy), and on a new example
w · (y, 1, 1) > 0 whatever y is: its accuracy is p.

Source: Wilson et al. 2017, "The Marginal Value of Adaptive Gradient Methods in Machine Learning",
section 3.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxopt_notes.studies.sweeps import Make, Runs
from jaxopt_notes.training.schedules import schedule

SHARED, OWN = 3, 5  # features that all examples have, and places for those of one example


class Made(NamedTuple):
    """The problem.

    Attributes:
      examples: that train.
      judges: examples of the validation set, and as many of the test set.
      positive: p.
      steps: of the whole batch.
      seeds: how many draws of all examples.
    """

    examples: int
    judges: int
    positive: float
    steps: int
    seeds: int


def labels(made: Made, seed: int) -> list[np.ndarray]:
    """±1 for the training, validation and test examples."""
    rng = np.random.default_rng(seed)
    sizes = made.examples, made.judges, made.judges
    return [np.where(rng.random(size) < made.positive, 1.0, -1.0) for size in sizes]


def features(y: np.ndarray) -> np.ndarray:
    """Training examples (n, SHARED + OWN n).

    >>> features(np.array([1.0, -1.0])).astype(int).tolist()
    [[1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [-1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]]
    """
    x = np.zeros((len(y), SHARED + OWN * len(y)))
    x[:, :SHARED] = shared(y)
    for i, label in enumerate(y):
        first = SHARED + OWN * i
        x[i, first : first + (1 if label > 0 else OWN)] = 1
    return x


def shared(y: np.ndarray) -> np.ndarray:
    """A new example's features (n, SHARED); its own ones have no weight yet."""
    return np.stack([y, np.ones_like(y), np.ones_like(y)], axis=-1)


def sweep(make: Make, tried: np.ndarray, made: Made) -> Runs:
    """Trains for every trial and seed, as `sweeps.sweep` does on images.

    Args:
      make: `make(fall, *trial)` is the optimizer; `fall(α)` falls from α to 0 along half a cosine.
      tried: (trials, …), positive.
      made: the problem.

    Returns:
      The `Runs`; they hold no accuracy on the training examples.
    """
    drawn = [labels(made, seed) for seed in range(made.seeds)]
    y = jnp.asarray(np.stack([each[0] for each in drawn]), jnp.float32)
    x = jnp.asarray(np.stack([features(each[0]) for each in drawn]), jnp.float32)
    unit = schedule("cosine", 1.0, made.steps)

    def loss(w: Any, x: Any, y: Any) -> Any:
        return 0.5 * ((x @ w - y) ** 2).mean()

    def train(trial: Any, x: Any, y: Any) -> Any:
        optimizer = make(lambda rate: lambda step: rate * unit(step), *trial)

        def step(carry: Any, _: Any) -> Any:
            w, state = carry
            value, g = jax.value_and_grad(loss)(w, x, y)
            updates, state = optimizer.update(g, state, w)
            return (optax.apply_updates(w, updates), state), value

        start = jnp.zeros(x.shape[-1])
        (w, _), losses = lax.scan(step, (start, optimizer.init(start)), length=made.steps)
        return w[:SHARED], losses, loss(w, x, y)

    over = jax.jit(jax.vmap(jax.vmap(train, (None, 0, 0)), (0, None, None)))
    w, losses, last = jax.device_get(over(jnp.asarray(tried, jnp.float32), x, y))
    right, errors = [], []
    for part in (1, 2):
        wanted = np.stack([each[part] for each in drawn])  # (seeds, judges)
        outputs = np.einsum("tsf,sjf->tsj", w, np.stack([shared(each) for each in wanted]))
        right.append(outputs * wanted > 0)
        errors.append(0.5 * ((outputs - wanted) ** 2).mean(-1, keepdims=True))
    held, test = right
    return Runs(
        losses,
        {"train": last[..., None], "held": errors[0], "test": errors[1]},
        {part: each.mean(-1, keepdims=True) for part, each in (("held", held), ("test", test))},
        np.packbits(test, axis=-1),
    )
