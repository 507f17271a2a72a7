r"""SGD, and SGD with momentum in its two forms.

    sgd                 u_t = −α g_t
    heavy ball          v_t = β v_{t−1} + g_t              u_t = −α v_t
      Nesterov                                             u_t = −α (g_t + β v_t)
    moving average      v_t = β v_{t−1} + (1 − β) g_t      u_t = −α v_t
      debiased                                             u_t = −α v_t / (1 − β^t)

optax, torch and Keras call the heavy ball momentum; the notes use the moving average. The moving
average is the heavy ball with α multiplied by 1 − β: at a constant learning rate, `sgd(α (1 − β),
momentum=β)` and `momentum(α, β)` take the same path.

Sources: Polyak 1964, "Some methods of speeding up the convergence of iteration methods";
Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", §2.
"""

from functools import partial

import jax
import optax
from jax.typing import ArrayLike, DTypeLike

from jaxopt_notes.optimizers._learning_rate import scale_by_learning_rate
from jaxopt_notes.optimizers.checks import check_decay, check_dtype
from jaxopt_notes.optimizers.engine import Debias, DebiasedRule, Slot, leafwise
from jaxopt_notes.optimizers.moments import Scalar


def heavy_ball(
    g: jax.Array, v: jax.Array, *, beta: Scalar, nesterov: bool
) -> tuple[jax.Array, jax.Array]:
    """The update is the new velocity v, or g + β v for Nesterov."""
    v = g + beta * v
    return (g + beta * v if nesterov else v), v


def moving_average(g: jax.Array, v: jax.Array, *, beta: Scalar, debias: bool) -> DebiasedRule:
    """The moving average, and its unbiased value as the update."""
    v = (1 - beta) * g + beta * v
    v_hat = (yield Debias(v, beta)) if debias else v
    return v_hat, v


def trace(
    decay: ArrayLike, nesterov: bool = False, accumulator_dtype: DTypeLike | None = None
) -> optax.GradientTransformation:
    """The heavy ball's velocity: v_t = β v_{t−1} + g_t.

    Equal to `optax.trace`.

    Args:
      decay: β in [0, 1].
      nesterov: look ahead, u_t = g_t + β v_t.
      accumulator_dtype: dtype of v; None takes the parameters'.

    Returns:
      A transformation with state `optax.TraceState(trace=v)`.

    Raises:
      ValueError: β is outside [0, 1].
      TypeError: β is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import trace
    >>> ball = trace(0.9)
    >>> u, state = ball.update(jnp.array(1.0), ball.init(jnp.array(0.0)))
    >>> u, state = ball.update(jnp.array(1.0), state)
    >>> print(u)
    1.9
    """
    check_decay("decay", decay, one_allowed=True)
    check_dtype("accumulator_dtype", accumulator_dtype)
    return leafwise(
        partial(heavy_ball, beta=decay, nesterov=nesterov),
        optax.TraceState,
        {"trace": Slot(dtype=accumulator_dtype)},
    )


def ema(
    decay: ArrayLike, debias: bool = True, accumulator_dtype: DTypeLike | None = None
) -> optax.GradientTransformation:
    """The moving average: v_t = β v_{t−1} + (1 − β) g_t.

    Equal to `optax.ema`.

    Args:
      decay: β in [0, 1).
      debias: u_t = v_t / (1 − β^t) rather than v_t.
      accumulator_dtype: dtype of v; None takes the parameters'.

    Returns:
      A transformation with state `optax.EmaState(count=t, ema=v)`.

    Raises:
      ValueError: β is outside [0, 1).
      TypeError: β is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import ema
    >>> average = ema(0.9, debias=False)
    >>> print(average.update(jnp.array(1.0), average.init(jnp.array(0.0)))[0])
    0.1
    """
    check_decay("decay", decay)
    check_dtype("accumulator_dtype", accumulator_dtype)
    return leafwise(
        partial(moving_average, beta=decay, debias=debias),
        optax.EmaState,
        {"ema": Slot(dtype=accumulator_dtype)},
    )


def sgd(
    learning_rate: optax.ScalarOrSchedule,
    momentum: ArrayLike | None = None,
    nesterov: bool = False,
    accumulator_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Stochastic gradient descent: θ ← θ − α g_t, or θ ← θ − α v_t with the heavy ball's v_t.

    Equal to `optax.sgd`, to torch's `SGD(lr=α, momentum=β)` and, at a constant learning rate, to
    Keras' `SGD`.

    Args:
      learning_rate: α, a number or a schedule.
      momentum: β in [0, 1], or None for no velocity at all.
      nesterov: look ahead, θ ← θ − α (g_t + β v_t).
      accumulator_dtype: dtype of v; None takes the parameters'.

    Returns:
      `trace` (or nothing) and then `scale_by_learning_rate`.

    Raises:
      ValueError: β is outside [0, 1], or α is not finite.
      TypeError: an argument is not a number.

    >>> import jax, jax.numpy as jnp, optax
    >>> from jaxopt_notes import sgd
    >>> optimizer, theta = sgd(0.1, momentum=0.9), jnp.array([1.0, 2.0])
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     updates, state = optimizer.update(jax.grad(lambda x: x @ x)(theta), state)
    ...     theta = optax.apply_updates(theta, updates)
    >>> print([f"{x:.3f}" for x in theta])
    ['0.062', '0.124']
    """
    if momentum is None:
        velocity = optax.identity()
    else:
        check_decay("momentum", momentum, one_allowed=True)
        velocity = trace(momentum, nesterov, accumulator_dtype)
    return optax.chain(velocity, scale_by_learning_rate(learning_rate))


def momentum(
    learning_rate: optax.ScalarOrSchedule,
    beta: ArrayLike = 0.9,
    accumulator_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """SGD with the notes' momentum: v_t = β v_{t−1} + (1 − β) g_t, θ ← θ − α v_t.

    The moving-average form, without bias correction. With v from zero,

        v_t = (1 − β) Σ_i β^{t−i} g_i = (1 − β) · (the heavy ball's velocity),

    so `momentum(α, β)` takes the path of `sgd(α (1 − β), momentum=β)`. This holds for a schedule
    α(k) too, because the learning rate stands outside the velocity in both. The steps of
    `momentum(α, β)` are 1 − β times those of `sgd(α, momentum=β)`. Equal to
    `optax.chain(optax.ema(β, debias=False), optax.scale_by_learning_rate(α))`; no single optax
    function has this form.

    Args:
      learning_rate: α, a number or a schedule.
      beta: β in [0, 1).
      accumulator_dtype: dtype of v; None takes the parameters'.

    Returns:
      `ema(beta, debias=False)` and then `scale_by_learning_rate`.

    Raises:
      ValueError: β is outside [0, 1), or α is not finite.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import momentum, sgd
    >>> g = jnp.array([1.0, -3.0])
    >>> ours, heavy_ball = momentum(0.1, beta=0.9), sgd(0.1 * (1 - 0.9), momentum=0.9)
    >>> print(ours.update(g, ours.init(g))[0], heavy_ball.update(g, heavy_ball.init(g))[0])
    [-0.01  0.03] [-0.01  0.03]
    """
    check_decay("beta", beta)
    average = ema(beta, debias=False, accumulator_dtype=accumulator_dtype)
    return optax.chain(average, scale_by_learning_rate(learning_rate))
