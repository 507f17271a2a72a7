r"""AMSGrad: Adam whose denominator never falls.

    m_t, v_t                             as in Adam
    s_t = max(s_{t−1}, v̂_t)              optax: the maximum of the corrected v̂
    u_t = −α m̂_t / (√(s_t + ε_root) + ε)

The paper corrects neither moment (`bias_correction_mu=False, bias_correction_nu=False`). torch and
Keras take the maximum of v_t and correct it afterwards (`_adam_forms.py`). That formula differs:
early v̂ are large, so optax's steps stay smaller.

Source: Reddi, Kale & Kumar 2018, "On the Convergence of Adam and Beyond", Algorithm 2.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike, DTypeLike

from jaxopt_notes.optimizers._learning_rate import scale_by_learning_rate
from jaxopt_notes.optimizers.checks import check_decay, check_dtype, check_not_negative
from jaxopt_notes.optimizers.engine import Debias, DebiasedRule, Slot, leafwise
from jaxopt_notes.optimizers.moments import Scalar, abs_sq


def amsgrad_rule(
    g: jax.Array,
    m: jax.Array,
    v: jax.Array,
    s: jax.Array,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
    debias: tuple[bool, bool],
) -> DebiasedRule:
    """Algorithm 2; `debias` = (m, v) says which of the two moments to correct."""
    m = (1 - b1) * g + b1 * m
    v = (1 - b2) * abs_sq(g) + b2 * v
    m_hat, v_hat = yield Debias(m, b1), Debias(v, b2)
    s = jnp.maximum(s, v_hat if debias[1] else v)
    return (m_hat if debias[0] else m) / (jnp.sqrt(s + eps_root) + eps), m, v, s


def scale_by_amsgrad(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> optax.GradientTransformation:
    """AMSGrad's direction m̂_t / (√(s_t + ε_root) + ε), s_t the largest v̂ so far.

    Equal to `optax.scale_by_amsgrad`.

    In float16 the default ε is 0 and a gradient of exactly zero gives NaN, as in optax: set `eps`
    to 1e-4 or more, or keep the parameters in float32.

    Args:
      b1: β1 in [0, 1).
      b2: β2 in [0, 1).
      eps: ε ≥ 0, outside the root.
      eps_root: ε_root ≥ 0, inside the root.
      mu_dtype: dtype of m; None takes the parameters'.
      bias_correction_mu: correct m; the paper does not.
      bias_correction_nu: correct v before the maximum; the paper does not.

    Returns:
      A transformation with state `optax.ScaleByAmsgradState(count=t, mu=m, nu=v, nu_max=s)`.

    Raises:
      ValueError: an argument is outside its interval.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import scale_by_amsgrad
    >>> direction, g = scale_by_amsgrad(), jnp.array([100.0, -0.01])
    >>> print([f"{u:.4f}" for u in direction.update(g, direction.init(g))[0]])
    ['1.0000', '-1.0000']
    """
    check_decay("b1", b1)
    check_decay("b2", b2)
    check_not_negative("eps", eps)
    check_not_negative("eps_root", eps_root)
    check_dtype("mu_dtype", mu_dtype)
    debias = bias_correction_mu, bias_correction_nu
    return leafwise(
        partial(amsgrad_rule, b1=b1, b2=b2, eps=eps, eps_root=eps_root, debias=debias),
        optax.ScaleByAmsgradState,
        {"mu": Slot(dtype=mu_dtype), "nu": Slot(), "nu_max": Slot()},
    )


def amsgrad(
    learning_rate: optax.ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """AMSGrad: θ ← θ − α m̂_t / (√s_t + ε), s_t the largest v̂ so far.

    Equal to `optax.amsgrad`. torch's `Adam(amsgrad=True)` uses another formula: see
    `conventions.torch.adam(amsgrad=True)`.

    In float16 the default ε is 0 and a gradient of exactly zero gives NaN, as in optax: set `eps`
    to 1e-4 or more, or keep the parameters in float32.

    Args:
      learning_rate: α, a number or a schedule.
      b1: β1 in [0, 1).
      b2: β2 in [0, 1).
      eps: ε ≥ 0, outside the root.
      eps_root: ε_root ≥ 0, inside the root.
      mu_dtype: dtype of m; None takes the parameters'.
      bias_correction_mu: correct m; the paper does not.
      bias_correction_nu: correct v before the maximum; the paper does not.

    Returns:
      `scale_by_amsgrad` and then `scale_by_learning_rate`.

    Raises:
      ValueError: an argument is outside its interval.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import amsgrad
    >>> optimizer, theta = amsgrad(0.1), jnp.array([1.0])
    >>> state = optimizer.init(theta)
    >>> for g in [100.0, 1.0, 1.0]:  # the first gradient is not forgotten
    ...     updates, state = optimizer.update(jnp.array([g]), state)
    >>> print(f"{updates[0]:.3f}")
    -0.031
    """
    direction = scale_by_amsgrad(
        b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu
    )
    return optax.chain(direction, scale_by_learning_rate(learning_rate))
