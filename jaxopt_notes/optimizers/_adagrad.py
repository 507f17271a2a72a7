r"""AdaGrad: each parameter's learning rate falls as its squared gradients add up.

    G_t = G_{t−1} + g_t²
    u_t = −α g_t / √(G_t + ε)          optax, Keras: ε inside the root, G_0 = 0.1 (the default)
    u_t = −α g_t / (√G_t + ε)          the notes, the paper, torch: ε outside, G_0 = 0

Source: Duchi, Hazan & Singer 2011, "Adaptive Subgradient Methods for Online Learning and
Stochastic Optimization", §1.1 and Figure 1 (diagonal form).
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxopt_notes.optimizers._learning_rate import scale_by_learning_rate
from jaxopt_notes.optimizers.checks import check_not_negative
from jaxopt_notes.optimizers.engine import Slot, leafwise
from jaxopt_notes.optimizers.moments import Scalar, abs_sq


def adagrad_rule(
    g: jax.Array, G: jax.Array, *, eps: Scalar, eps_in_sqrt: bool
) -> tuple[jax.Array, jax.Array]:
    """g / √(G + ε), or g / (√G + ε)."""
    G = abs_sq(g) + G
    if eps_in_sqrt:
        return inverse_or_zero(G, jax.lax.rsqrt(G + eps)) * g, G
    # Where g² underflows to 0, the parameter still moves by g / ε, as the equation says.
    root = jnp.sqrt(G) + eps
    return inverse_or_zero(root, 1 / root) * g, G


def inverse_or_zero(x: jax.Array, inverse: jax.Array) -> jax.Array:
    """The inverse where x > 0, else 0: a parameter without any gradient so far does not move."""
    return jnp.where(x > 0, inverse, 0.0)


def scale_by_rss(
    initial_accumulator_value: ArrayLike = 0.1, eps: ArrayLike = 1e-7, eps_in_sqrt: bool = True
) -> optax.GradientTransformation:
    """Divides by the root of the sum of all squares so far.

    Equal to `optax.scale_by_rss`, which has no `eps_in_sqrt`.

    Args:
      initial_accumulator_value: G_0 ≥ 0.
      eps: ε ≥ 0.
      eps_in_sqrt: g / √(G + ε); False: g / (√G + ε).

    Returns:
      A transformation with state `optax.ScaleByRssState(sum_of_squares=G)`.

    Raises:
      ValueError: G_0 or ε is negative or not finite.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import scale_by_rss
    >>> rss = scale_by_rss(initial_accumulator_value=0.0, eps=0.0)
    >>> g = jnp.array([3.0, -0.001, 0.0])
    >>> print(rss.update(g, rss.init(g))[0])
    [ 1. -1.  0.]
    """
    check_not_negative("initial_accumulator_value", initial_accumulator_value)
    check_not_negative("eps", eps)
    return leafwise(
        partial(adagrad_rule, eps=eps, eps_in_sqrt=eps_in_sqrt),
        optax.ScaleByRssState,
        {"sum_of_squares": Slot(initial_accumulator_value)},
    )


def adagrad(
    learning_rate: optax.ScalarOrSchedule,
    initial_accumulator_value: ArrayLike = 0.1,
    eps: ArrayLike = 1e-7,
    eps_in_sqrt: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """AdaGrad: θ ← θ − α g_t / √(G_t + ε), with G_t the sum of all g².

    Equal to `optax.adagrad` and, with the defaults, to Keras' `Adagrad`. The notes and torch's
    `Adagrad(lr=α, eps=1e-8)` use the form

        adagrad(α, initial_accumulator_value=0.0, eps=1e-8, eps_in_sqrt=False)

    No arguments of `optax.adagrad` give this form for ε > 0. The two forms differ greatly where
    gradients are tiny.

    Args:
      learning_rate: α, a number or a schedule.
      initial_accumulator_value: G_0 ≥ 0.
      eps: ε ≥ 0.
      eps_in_sqrt: g / √(G + ε); False: g / (√G + ε).

    Returns:
      `scale_by_rss` and then `scale_by_learning_rate`.

    Raises:
      ValueError: G_0 or ε is negative, or an argument is not finite.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import adagrad
    >>> notes = adagrad(0.1, initial_accumulator_value=0.0, eps=1e-8, eps_in_sqrt=False)
    >>> g = jnp.array([4.0, -0.5])
    >>> print(notes.update(g, notes.init(g))[0])
    [-0.1  0.1]
    """
    return optax.chain(
        scale_by_rss(initial_accumulator_value, eps, eps_in_sqrt),
        scale_by_learning_rate(learning_rate),
    )
