r"""RMSProp: AdaGrad with a moving average in place of the sum.

    E_t = β E_{t−1} + (1 − β) g_t²
    u_t = −α g_t / √(E_t + ε)          the notes, optax's default, Keras: ε inside the root
    u_t = −α g_t / (√E_t + ε)          torch: ε outside

The centred form takes the root of the variance E_t − m_t², m_t = β m_{t−1} + (1 − β) g_t (Graves
2013, "Generating Sequences With Recurrent Neural Networks", §4.2). With momentum, u_t drives a
heavy ball: the learning rate stands inside the velocity, as in Keras; torch puts it outside.

Source: Hinton 2012, "Neural Networks for Machine Learning", lecture 6e.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxopt_notes.optimizers._learning_rate import scale_by_learning_rate
from jaxopt_notes.optimizers._momentum import trace
from jaxopt_notes.optimizers.checks import check_decay, check_not_negative
from jaxopt_notes.optimizers.engine import Debias, DebiasedRule, Slot, leafwise, state_class
from jaxopt_notes.optimizers.moments import Scalar, abs_sq


def rmsprop_rule(
    g: jax.Array, E: jax.Array, *, beta: Scalar, eps: Scalar, eps_in_sqrt: bool, debias: bool
) -> DebiasedRule:
    """g / √(E + ε), or g / (√E + ε)."""
    E = (1 - beta) * abs_sq(g) + beta * E
    E_hat = (yield Debias(E, beta)) if debias else E
    return inverse_root(E_hat, eps, eps_in_sqrt) * g, E


def centered_rule(
    g: jax.Array,
    m: jax.Array,
    E: jax.Array,
    *,
    beta: Scalar,
    eps: Scalar,
    eps_in_sqrt: bool,
    debias: bool,
) -> DebiasedRule:
    """`rmsprop_rule` with the variance E − m² in place of E."""
    m = (1 - beta) * g + beta * m
    E = (1 - beta) * abs_sq(g) + beta * E
    m_hat, E_hat = (yield Debias(m, beta), Debias(E, beta)) if debias else (m, E)
    return inverse_root(E_hat - abs_sq(m_hat), eps, eps_in_sqrt) * g, m, E


def inverse_root(E: jax.Array, eps: Scalar, eps_in_sqrt: bool) -> jax.Array:
    """1 / √(E + ε), or 1 / (√E + ε)."""
    return jax.lax.rsqrt(E + eps) if eps_in_sqrt else 1 / (jnp.sqrt(E) + eps)


@cache
def _state_class(scale: Callable[..., optax.GradientTransformation], debias: bool) -> Any:
    return state_class(scale(bias_correction=debias))


def _check(decay: ArrayLike, eps: ArrayLike, initial_scale: ArrayLike) -> None:
    check_decay("decay", decay)
    check_not_negative("eps", eps)
    check_not_negative("initial_scale", initial_scale)


def scale_by_rms(
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    initial_scale: ArrayLike = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> optax.GradientTransformation:
    """Divides by the root of the moving average of squares.

    Equal to `optax.scale_by_rms`.

    In float16 the default ε is 0 and a gradient of exactly zero gives NaN, as in optax: set `eps`
    to 1e-4 or more, or keep the parameters in float32.

    Args:
      decay: β in [0, 1).
      eps: ε ≥ 0.
      initial_scale: E_0 ≥ 0.
      eps_in_sqrt: g / √(E + ε); False: g / (√E + ε).
      bias_correction: E_t / (1 − β^t) in place of E_t.

    Returns:
      A transformation with state `optax.ScaleByRmsState(nu=E)`, with a count where the bias is
      corrected.

    Raises:
      ValueError: an argument is outside its interval.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import scale_by_rms
    >>> rms, g = scale_by_rms(decay=0.75, eps=0.0), jnp.array([5.0, -0.01])
    >>> print(rms.update(g, rms.init(g))[0])
    [ 2. -2.]
    """
    _check(decay, eps, initial_scale)
    return leafwise(
        partial(rmsprop_rule, beta=decay, eps=eps, eps_in_sqrt=eps_in_sqrt, debias=bias_correction),
        _state_class(optax.scale_by_rms, bias_correction),
        {"nu": Slot(initial_scale)},
    )


def scale_by_stddev(
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    initial_scale: ArrayLike = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> optax.GradientTransformation:
    """Divides by the moving standard deviation: the root of the centred moving average of squares.

    Equal to `optax.scale_by_stddev`.

    In float16 the default ε is 0 and a gradient of exactly zero gives NaN, as in optax: set `eps`
    to 1e-4 or more, or keep the parameters in float32.

    Args:
      decay: β in [0, 1).
      eps: ε ≥ 0.
      initial_scale: E_0 ≥ 0 (m_0 is 0).
      eps_in_sqrt: g / √(E − m² + ε); False: g / (√(E − m²) + ε).
      bias_correction: divide both averages by 1 − β^t.

    Returns:
      A transformation with state `optax.ScaleByRStdDevState(mu=m, nu=E)`, with a count where the
      bias is corrected.

    Raises:
      ValueError: an argument is outside its interval.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import scale_by_stddev
    >>> stddev, g = scale_by_stddev(decay=0.5, eps=0.0), jnp.array([5.0, -0.01])
    >>> print(stddev.update(g, stddev.init(g))[0])
    [ 2. -2.]
    """
    _check(decay, eps, initial_scale)
    rule = partial(
        centered_rule, beta=decay, eps=eps, eps_in_sqrt=eps_in_sqrt, debias=bias_correction
    )
    state = _state_class(optax.scale_by_stddev, bias_correction)
    return leafwise(rule, state, {"mu": Slot(), "nu": Slot(initial_scale)})


def rmsprop(
    learning_rate: optax.ScalarOrSchedule,
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    initial_scale: ArrayLike = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: ArrayLike | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """RMSProp: θ ← θ − α g_t / √(E_t + ε), with E_t the moving average of g².

    Equal to `optax.rmsprop` and, by default, to the notes and to Keras' `RMSprop(rho=β)`. torch's
    `RMSprop` is `rmsprop(α, decay=0.99, eps=1e-8, eps_in_sqrt=False)`; with momentum, only at a
    constant learning rate.

    In float16 the default ε is 0 and a gradient of exactly zero gives NaN, as in optax: set `eps`
    to 1e-4 or more, or keep the parameters in float32.

    Args:
      learning_rate: α, a number or a schedule.
      decay: β in [0, 1).
      eps: ε ≥ 0.
      initial_scale: E_0 ≥ 0.
      eps_in_sqrt: g / √(E + ε); False: g / (√E + ε).
      centered: divide by the standard deviation instead.
      momentum: the heavy ball's β in [0, 1], applied after the learning rate; None for no momentum.
      nesterov: Nesterov's form of that momentum.
      bias_correction: debias the averages.

    Returns:
      `scale_by_rms` or `scale_by_stddev`, `scale_by_learning_rate`, and `trace` or nothing.

    Raises:
      ValueError: an argument is outside its interval.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import rmsprop
    >>> optimizer, g = rmsprop(0.1, decay=0.75), jnp.array([5.0, -0.01])
    >>> print(optimizer.update(g, optimizer.init(g))[0])
    [-0.2         0.19996001]
    """
    if momentum is not None:
        check_decay("momentum", momentum, one_allowed=True)
    scale = scale_by_stddev if centered else scale_by_rms
    return optax.chain(
        scale(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        optax.identity() if momentum is None else trace(momentum, nesterov),
    )
