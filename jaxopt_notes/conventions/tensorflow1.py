"""tf.compat.v1.train's optimizers and contrib's AdamW, with TensorFlow's arguments and
trajectories.

Sources: the documentation of TensorFlow 1.15 and of its operations (ApplyMomentum, ApplyAdagrad,
ApplyRMSProp, ApplyCenteredRMSProp, ApplyAdam). The tests run the classes that TensorFlow 2 still
has; contrib's AdamW is gone, so the tests compare with its equation. Traps: RMSProp's average
starts from 1, AdaGrad has no ε, and AdamW's decay is not multiplied by the learning rate.

TensorFlow rounds Python numbers to float32 even where the variables are float64: for its decay=0.9
write `decay=float(numpy.float32(0.9))` here. In float32, Adam's steps differ from TensorFlow's by
up to a relative 1.4e-5, because TensorFlow computes 1 − β from the rounded β and β^t by repeated
multiplication.

A learning rate may be a number or a schedule, a function of the steps taken. The functions do not
take use_locking and name.
"""

import optax

from jaxopt_notes import optimizers
from jaxopt_notes.conventions.terms import Rate, is_set
from jaxopt_notes.optimizers._adam_forms import scale_by_adam_form


def gradient_descent(learning_rate: Rate) -> optax.GradientTransformation:
    """θ ← θ − α g_t. All frameworks agree.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import tensorflow1
    >>> optimizer = tensorflow1.gradient_descent(0.1)
    >>> print(optimizer.update(jnp.array(2.0), optimizer.init(jnp.array(0.0)))[0])
    -0.2
    """
    return optimizers.sgd(learning_rate)


def momentum(
    learning_rate: Rate, momentum: float, use_nesterov: bool = False
) -> optax.GradientTransformation:
    """v_t = μ v_{t−1} + g_t ; θ ← θ − α v_t, or θ ← θ − α (g_t + μ v_t).

    Equal to optax's `sgd(α, μ, nesterov)`: the learning rate is outside the velocity, unlike in
    Keras.

    Args:
      learning_rate: α, a number or a schedule.
      momentum: μ in [0, 1].
      use_nesterov: look ahead.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import tensorflow1
    >>> optimizer = tensorflow1.momentum(1.0, momentum=0.5, use_nesterov=True)
    >>> print(optimizer.update(jnp.array(2.0), optimizer.init(jnp.array(0.0)))[0])
    -3.0
    """
    return optimizers.sgd(learning_rate, momentum, use_nesterov)


def adagrad(
    learning_rate: Rate, initial_accumulator_value: float = 0.1
) -> optax.GradientTransformation:
    """G_t = G_{t−1} + g_t² ; θ ← θ − α g_t / √G_t, G_0 = 0.1.

    No ε: G_0 > 0 keeps the root from 0. optax adds 1e-7 inside the root.

    Args:
      learning_rate: α, a number or a schedule.
      initial_accumulator_value: G_0 > 0.

    Raises:
      ValueError: G_0 is not positive.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import tensorflow1
    >>> optimizer = tensorflow1.adagrad(1.0, initial_accumulator_value=9.0)
    >>> print(f"{optimizer.update(jnp.array(4.0), optimizer.init(jnp.array(0.0)))[0]:.4f}")
    -0.8000
    """
    if not is_set(initial_accumulator_value):
        raise ValueError(f"initial_accumulator_value={initial_accumulator_value!r} must be > 0")
    return optimizers.adagrad(learning_rate, initial_accumulator_value, eps=0.0)


def rmsprop(
    learning_rate: Rate,
    decay: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-10,
    *,
    centered: bool = False,
) -> optax.GradientTransformation:
    """E_t = ρ E_{t−1} + (1 − ρ) g_t² ; v_t = μ v_{t−1} + α g_t / √(E_t + ε) ; θ ← θ − v_t, E_0 = 1.

    Equal to optax's `rmsprop(α, decay=ρ, eps=1e-10, initial_scale=1.0, momentum=μ)`; by default
    optax has E_0 = 0 and ε = 1e-8. The centred form replaces E_t by E_t − m_t², with m_t the moving
    average of g_t, from 0.

    Args:
      learning_rate: α, a number or a schedule.
      decay: ρ in [0, 1).
      momentum: μ in [0, 1].
      epsilon: ε, inside the root.
      centered: divide by the standard deviation.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import tensorflow1
    >>> optimizer = tensorflow1.rmsprop(1.0, decay=0.75)
    >>> print(f"{optimizer.update(jnp.array(1.0), optimizer.init(jnp.array(0.0)))[0]:.4f}")
    -1.0000
    """
    return optimizers.rmsprop(
        learning_rate,
        decay,
        epsilon,
        initial_scale=1.0,
        centered=centered,
        momentum=momentum if is_set(momentum) else None,
    )


def adam(
    learning_rate: Rate = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> optax.GradientTransformation:
    """θ ← θ − α √(1 − β2^t) / (1 − β1^t) · m_t / (√v_t + ε̂).

    ε-hat, as in Keras; optax adds ε after the correction.

    Args:
      learning_rate: α, a number or a schedule.
      beta1: β1 in [0, 1).
      beta2: β2 in [0, 1).
      epsilon: ε̂.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import tensorflow1
    >>> optimizer = tensorflow1.adam(1.0, epsilon=1e-3)
    >>> print(f"{optimizer.update(jnp.array(1e-3), optimizer.init(jnp.array(0.0)))[0]:.4f}")
    -0.0307
    """
    return optax.chain(
        scale_by_adam_form(beta1, beta2, epsilon, eps_hat=True),
        optimizers.scale_by_learning_rate(learning_rate),
    )


def adamw(
    weight_decay: float,
    learning_rate: Rate = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> optax.GradientTransformation:
    """θ ← θ − λ θ − α √(1 − β2^t) / (1 − β1^t) · m_t / (√v_t + ε̂).

    contrib's AdamWOptimizer. The decay is not multiplied by α: it equals optax's `weight_decay=λ /
    α`, and a schedule of α does not change it.

    Args:
      weight_decay: λ, decoupled from the learning rate too.
      learning_rate: α, a number or a schedule.
      beta1: β1 in [0, 1).
      beta2: β2 in [0, 1).
      epsilon: ε̂.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import tensorflow1
    >>> optimizer, theta = tensorflow1.adamw(0.5, learning_rate=0.1), jnp.array(2.0)
    >>> print(optimizer.update(jnp.array(0.0), optimizer.init(theta), theta)[0])
    -1.0
    """
    return optax.chain(
        adam(learning_rate, beta1, beta2, epsilon), optimizers.add_decayed_weights(-weight_decay)
    )
