"""Keras 3's SGD, Adagrad, RMSprop, Adam and AdamW, with Keras' arguments and trajectories.

Follows Keras 3.15. ε stands inside the root in Adagrad and RMSprop, and is ε-hat in Adam. The
learning rate stands inside the velocity. Every optimizer takes a decoupled weight decay λ:

    θ ← θ − α λ θ          before the step, from the same gradient

A learning rate may be a number or a schedule, a function of the steps taken. These functions do not
take clipnorm, clipvalue and global_clipnorm (chain `optax.clip_by_global_norm` or `optax.clip`
before them), use_ema, loss_scale_factor or gradient_accumulation_steps (use `optax.MultiSteps`).
"""

from functools import partial

import jax
import optax

from jaxopt_notes import optimizers
from jaxopt_notes.conventions.terms import Rate, decay_beside, is_set
from jaxopt_notes.optimizers import scale_by_learning_rate
from jaxopt_notes.optimizers._adam_forms import scale_by_adam_form
from jaxopt_notes.optimizers.checks import check_not_negative
from jaxopt_notes.optimizers.engine import Slot, leafwise
from jaxopt_notes.optimizers.moments import abs_sq


def _decay(learning_rate: Rate, weight_decay: float | None) -> list[optax.GradientTransformation]:
    if weight_decay is None or not is_set(weight_decay):
        return []
    return [decay_beside(learning_rate, weight_decay)]


def sgd(
    learning_rate: Rate = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float | None = None,
) -> optax.GradientTransformation:
    """v_t = μ v_{t−1} − α g_t ; θ ← θ + v_t, or θ ← θ + μ v_t − α g_t.

    The learning rate is inside the velocity. While α is constant, this equals optax's `sgd(α, μ,
    nesterov)`. When α changes, the velocity keeps past gradients multiplied by their old α. Without
    momentum `nesterov` does nothing.

    Args:
      learning_rate: α, a number or a schedule.
      momentum: μ in [0, 1].
      nesterov: look ahead.
      weight_decay: λ, decoupled; None for none.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import keras
    >>> optimizer, g = keras.sgd(lambda t: 0.0**t, momentum=0.5), jnp.array(1.0)
    >>> state = optimizer.init(g)
    >>> for _ in range(3):  # the rate is 1, 0, 0, …: what is under way rolls on
    ...     update, state = optimizer.update(g, state)
    ...     print(update)
    -1.0
    -0.5
    -0.25
    """
    return optax.chain(
        scale_by_learning_rate(learning_rate),
        *([optimizers.trace(momentum, nesterov)] if is_set(momentum) else []),
        *_decay(learning_rate, weight_decay),
    )


def adagrad_rule(g: jax.Array, G: jax.Array, *, eps: float) -> tuple[jax.Array, jax.Array]:
    """g / √(G + ε).

    >>> import jax.numpy as jnp
    >>> update, G = adagrad_rule(jnp.array(4.0), jnp.array(9.0), eps=0.0)
    >>> print(update, G)
    0.8 25.0
    """
    G = abs_sq(g) + G
    return jax.lax.rsqrt(G + eps) * g, G


def adagrad(
    learning_rate: Rate = 0.001,
    initial_accumulator_value: float = 0.1,
    epsilon: float = 1e-7,
    weight_decay: float | None = None,
) -> optax.GradientTransformation:
    """G_t = G_{t−1} + g_t² ; θ ← θ − α g_t / √(G_t + ε), G_0 = 0.1.

    Equal to optax's `adagrad`, except where G is still 0 (G_0 = 0 and g_t² underflows): there optax
    does not move, and Keras does.

    Args:
      learning_rate: α, a number or a schedule.
      initial_accumulator_value: G_0.
      epsilon: ε, inside the root.
      weight_decay: λ, decoupled; None for none.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import keras
    >>> optimizer, g = keras.adagrad(1.0, initial_accumulator_value=9.0), jnp.array(4.0)
    >>> print(f"{optimizer.update(g, optimizer.init(g))[0]:.4f}")
    -0.8000
    """
    check_not_negative("initial_accumulator_value", initial_accumulator_value)
    check_not_negative("epsilon", epsilon)
    scale = leafwise(
        partial(adagrad_rule, eps=epsilon),
        optax.ScaleByRssState,
        {"sum_of_squares": Slot(initial_accumulator_value)},
    )
    return optax.chain(
        scale, scale_by_learning_rate(learning_rate), *_decay(learning_rate, weight_decay)
    )


def rmsprop(
    learning_rate: Rate = 0.001,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    centered: bool = False,
    weight_decay: float | None = None,
) -> optax.GradientTransformation:
    """E_t = ρ E_{t−1} + (1 − ρ) g_t² ; v_t = μ v_{t−1} + α g_t / √(E_t + ε) ; θ ← θ − v_t.

    Equal to optax's `rmsprop(α, decay=ρ, eps=1e-7, momentum=μ)`; optax's ε defaults to 1e-8. The
    centred form replaces E_t by E_t − m_t², with m_t the moving average of g_t.

    Args:
      learning_rate: α, a number or a schedule.
      rho: ρ in [0, 1).
      momentum: μ in [0, 1].
      epsilon: ε, inside the root.
      centered: divide by the standard deviation.
      weight_decay: λ, decoupled; None for none.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import keras
    >>> optimizer, g = keras.rmsprop(1.0, rho=0.75, epsilon=12.0), jnp.array(4.0)
    >>> print(optimizer.update(g, optimizer.init(g))[0])
    -1.0
    """
    rate = optimizers.rmsprop(
        learning_rate,
        rho,
        epsilon,
        centered=centered,
        momentum=momentum if is_set(momentum) else None,
    )
    return optax.chain(rate, *_decay(learning_rate, weight_decay))


def adam(
    learning_rate: Rate = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    weight_decay: float | None = None,
) -> optax.GradientTransformation:
    """θ ← θ − α √(1 − β2^t) / (1 − β1^t) · m_t / (√v_t + ε̂).

    optax adds ε after the correction; optax's Adam equals Keras' if ε = ε̂ / √(1 − β2^t) at each
    step. With amsgrad, max(v_1, …, v_t) replaces v_t; optax takes the maximum after the correction.

    Args:
      learning_rate: α, a number or a schedule.
      beta_1: β1 in [0, 1).
      beta_2: β2 in [0, 1).
      epsilon: ε̂.
      amsgrad: divide by the root of the largest v so far.
      weight_decay: λ, decoupled, as in `adamw`; None for none.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import keras
    >>> optimizer, g = keras.adam(1.0, epsilon=1e-3), jnp.array(1e-3)
    >>> print(f"{optimizer.update(g, optimizer.init(g))[0]:.4f}")  # optax.adam: -0.5
    -0.0307
    """
    return optax.chain(
        scale_by_adam_form(beta_1, beta_2, epsilon, eps_hat=True, amsgrad=amsgrad),
        scale_by_learning_rate(learning_rate),
        *_decay(learning_rate, weight_decay),
    )


def adamw(
    learning_rate: Rate = 0.001,
    weight_decay: float = 0.004,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
) -> optax.GradientTransformation:
    """θ ← θ − α λ θ − α √(1 − β2^t) / (1 − β1^t) · m_t / (√v_t + ε̂).

    `adam` with weight decay. Equal to optax's `adamw` except for ε-hat; optax's λ defaults to 1e-4.

    Args:
      learning_rate: α, a number or a schedule.
      weight_decay: λ, decoupled, and multiplied by α.
      beta_1: β1 in [0, 1).
      beta_2: β2 in [0, 1).
      epsilon: ε̂.
      amsgrad: divide by the root of the largest v so far.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import keras
    >>> optimizer, theta = keras.adamw(0.1, weight_decay=0.5), jnp.array(2.0)
    >>> print(optimizer.update(jnp.array(0.0), optimizer.init(theta), theta)[0])
    -0.1
    """
    return adam(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay)
