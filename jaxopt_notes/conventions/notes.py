"""The optimizers of the study notes, with the notes' letters and defaults.

    sgd        θ ← θ − α g_t
    momentum   v_t = β v_{t−1} + (1 − β) g_t            θ ← θ − α v_t
    adagrad    G_t = G_{t−1} + g_t²                     θ ← θ − α g_t / (√G_t + ε)
    rmsprop    E_t = β E_{t−1} + (1 − β) g_t²           θ ← θ − η g_t / √(E_t + ε)
    adam       m_t, v_t averages of g_t, g_t²           θ ← θ − α m̂_t / (√v̂_t + ε)
    adamw                                               θ ← θ − α (m̂_t / (√v̂_t + ε) + λ θ)

All accumulators start from 0. A learning rate may be a number or a schedule of the steps taken.
"""

import optax

from jaxopt_notes import optimizers
from jaxopt_notes.conventions.terms import Rate


def sgd(alpha: Rate) -> optax.GradientTransformation:
    """θ ← θ − α g_t. optax, torch, Keras and TensorFlow 1 agree.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import notes
    >>> optimizer = notes.sgd(0.1)
    >>> print(optimizer.update(jnp.array(2.0), optimizer.init(jnp.array(0.0)))[0])
    -0.2
    """
    return optimizers.sgd(alpha)


def momentum(alpha: Rate, beta: float = 0.9) -> optax.GradientTransformation:
    """v_t = β v_{t−1} + (1 − β) g_t ; θ ← θ − α v_t, without bias correction.

    Equal to optax's `sgd(α (1 − β), momentum=β)`; optax's `sgd(α, momentum=β)` lacks the factor 1 −
    β. optax's `ema(β)` corrects the bias by default.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import notes
    >>> optimizer = notes.momentum(0.5, beta=0.75)
    >>> print(optimizer.update(jnp.array(2.0), optimizer.init(jnp.array(0.0)))[0])
    -0.25
    """
    return optimizers.momentum(alpha, beta)


def adagrad(alpha: Rate, epsilon: float = 1e-8) -> optax.GradientTransformation:
    """G_t = G_{t−1} + g_t² ; θ ← θ − α g_t / (√G_t + ε), G_0 = 0.

    optax has g_t / √(G_t + ε) and G_0 = 0.1. Equal to torch's `Adagrad(lr=α, eps=ε)`.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import notes
    >>> optimizer = notes.adagrad(0.1)
    >>> print(optimizer.update(jnp.array(2.0), optimizer.init(jnp.array(0.0)))[0])
    -0.1
    """
    return optimizers.adagrad(alpha, initial_accumulator_value=0.0, eps=epsilon, eps_in_sqrt=False)


def rmsprop(eta: Rate, beta: float = 0.9, epsilon: float = 1e-8) -> optax.GradientTransformation:
    """E_t = β E_{t−1} + (1 − β) g_t² ; θ ← θ − η g_t / √(E_t + ε), E_0 = 0.

    Equal to optax's `rmsprop(η, decay=β, eps=ε)`.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import notes
    >>> optimizer = notes.rmsprop(0.1, beta=0.75)
    >>> print(optimizer.update(jnp.array(2.0), optimizer.init(jnp.array(0.0)))[0])
    -0.2
    """
    return optimizers.rmsprop(eta, decay=beta, eps=epsilon)


def adam(
    alpha: Rate, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> optax.GradientTransformation:
    """θ ← θ − α m̂_t / (√v̂_t + ε), m̂_t = m_t / (1 − β1^t), v̂_t = v_t / (1 − β2^t).

    Equal to optax's `adam(α, β1, β2, ε)`.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import notes
    >>> optimizer = notes.adam(0.1)
    >>> update, _ = optimizer.update(jnp.array(2.0), optimizer.init(jnp.array(0.0)))
    >>> print(f"{update:.4f}")
    -0.1000
    """
    return optimizers.adam(alpha, beta1, beta2, epsilon)


def adamw(
    alpha: Rate,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    *,
    weight_decay: float,
) -> optax.GradientTransformation:
    """θ ← θ − α (m̂_t / (√v̂_t + ε) + λ θ): the decay does not pass through the moments.

    The notes give λ no default. Equal to optax's `adamw(α, β1, β2, ε, weight_decay=λ)`.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import notes
    >>> optimizer, theta = notes.adamw(0.1, weight_decay=0.5), jnp.array(2.0)
    >>> print(optimizer.update(jnp.array(0.0), optimizer.init(theta), theta)[0])
    -0.1
    """
    return optimizers.adamw(alpha, beta1, beta2, epsilon, weight_decay=weight_decay)
