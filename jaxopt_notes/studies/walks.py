"""What the studies of optimizers share: a walk on a landscape, and when it arrives."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

Gradient = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def walk(
    optimizer: optax.GradientTransformation,
    gradient: Gradient,
    start: jax.Array,
    steps: int,
    key: jax.Array | None = None,
) -> jax.Array:
    """The path of an optimizer, θ_0 … θ_steps; to be put under vmap over rates and seeds.

    Args:
      optimizer: its rate may be traced.
      gradient: of (θ, t, key), with t = 0, 1, … and a key for each step.
      start: θ_0.
      steps: how many.
      key: where each step's key comes from; None where there is no chance.

    Returns:
      An array (steps + 1, *start.shape).
    """
    keys = jax.random.split(jax.random.key(0) if key is None else key, steps)

    def step(carry: Any, at: Any) -> Any:
        theta, state = carry
        updates, state = optimizer.update(gradient(theta, *at), state, theta)
        theta = optax.apply_updates(theta, updates)
        return (theta, state), theta

    _, path = lax.scan(step, (start, optimizer.init(start)), (jnp.arange(steps), keys))
    return jnp.concatenate([start[None], path])


def arrival(there: Any) -> np.ndarray:
    """The first step at which it is true, along the last axis; ∞ where it never is.

    >>> print(arrival([[False, True, True], [False, False, False]]))
    [ 1. inf]
    """
    there = np.asarray(there)
    return np.where(there.any(-1), there.argmax(-1), np.inf)


def rates(setting: dict[str, Any]) -> np.ndarray:
    """The rates of setting["rates"] = [lowest, highest, how many], evenly spaced by factors.

    >>> print(rates({"rates": [0.01, 1.0, 3]}))
    [0.01 0.1  1.  ]
    """
    return np.geomspace(*setting["rates"])
