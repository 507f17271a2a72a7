r"""Adam as other frameworks write it: ε before the bias correction, and AMSGrad.

    Adam                  u_t = m̂_t / (√v̂_t + ε)
    epsilon hat           u_t = m̂_t / (√v̂_t + ε̂ / √(1 − β2^t))
    AMSGrad               s_t = max(s_{t−1}, v_t)
                          u_t = m̂_t / (√ŝ_t + ε),   ŝ_t = s_t / (1 − β2^t)

TensorFlow 1 and Keras compute epsilon hat as α √(1 − β2^t) / (1 − β1^t) · m_t / (√v_t + ε̂), the
form just before §2.1 of Kingma & Ba. This is Adam with an ε that starts at ε̂ / √(1 − β2), which is
32 times ε̂ for β2 = 0.999, and falls to ε̂. torch and Keras take AMSGrad's maximum before the bias
correction. optax corrects first and takes the maximum of v̂. The two orders differ: early v̂ are
large, so optax's steps stay smaller.

Sources: Kingma & Ba 2014, "Adam: A Method for Stochastic Optimization", Algorithm 1 and §2;
Reddi, Kale & Kumar 2018, "On the Convergence of Adam and Beyond", Algorithm 2.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxopt_notes.optimizers import moments
from jaxopt_notes.optimizers.checks import check_decay, check_not_negative
from jaxopt_notes.optimizers.engine import Debias, DebiasedRule, Slot, increment, leafwise
from jaxopt_notes.optimizers.moments import Scalar, abs_sq


def adam_form_rule(
    g: jax.Array,
    m: jax.Array,
    v: jax.Array,
    eps: Scalar,
    *,
    b1: Scalar,
    b2: Scalar,
    exact: bool,
) -> DebiasedRule:
    """Adam whose ε may change at each step; ε = ε̂ / √(1 − β2^t) gives "epsilon hat"."""
    m = (1 - b1) * g + b1 * m
    v = (1 - b2) * abs_sq(g) + b2 * v
    m_hat, v_hat = yield Debias(m, b1, exact=exact), Debias(v, b2, exact=exact)
    return m_hat / (jnp.sqrt(v_hat) + jnp.asarray(eps, v_hat.dtype)), m, v


def amsgrad_form_rule(
    g: jax.Array,
    m: jax.Array,
    v: jax.Array,
    s: jax.Array,
    eps: Scalar,
    *,
    b1: Scalar,
    b2: Scalar,
    exact: bool,
) -> DebiasedRule:
    """AMSGrad with the maximum taken before the correction."""
    m = (1 - b1) * g + b1 * m
    v = (1 - b2) * abs_sq(g) + b2 * v
    s = jnp.maximum(s, v)
    m_hat, s_hat = yield Debias(m, b1, exact=exact), Debias(s, b2, exact=exact)
    return m_hat / (jnp.sqrt(s_hat) + jnp.asarray(eps, s_hat.dtype)), m, v, s


def scale_by_adam_form(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    *,
    eps_hat: bool = False,
    amsgrad: bool = False,
    exact_correction: bool = False,
) -> optax.GradientTransformation:
    """Adam's direction with ε-hat, or with AMSGrad's maximum before the bias correction.

    Args:
      b1: β1 in [0, 1).
      b2: β2 in [0, 1).
      eps: ε ≥ 0, or ε̂.
      eps_hat: add ε to the root before the bias correction.
      amsgrad: divide by the root of the largest v so far.
      exact_correction: compute 1 − β^t to full precision, as torch does. In optax and Keras its
        relative error is 1e-5 at first, in float32 with β2 = 0.999.

    Returns:
      A transformation with state `optax.ScaleByAdamState(count=t, mu=m, nu=v)`; for AMSGrad
      `optax.ScaleByAmsgradState` with nu_max=s.

    Raises:
      ValueError: an argument is outside its interval.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.optimizers._adam_forms import scale_by_adam_form
    >>> g = jnp.array([1.0, 1e-3])
    >>> for eps_hat in [False, True]:
    ...     adam = scale_by_adam_form(eps=1e-3, eps_hat=eps_hat)
    ...     print([f"{u:.2f}" for u in adam.update(g, adam.init(g))[0]])
    ['1.00', '0.50']
    ['0.97', '0.03']
    """
    check_decay("b1", b1)
    check_decay("b2", b2)
    check_not_negative("eps", eps)

    def eps_at(count: jax.Array) -> ArrayLike:
        return eps / jnp.sqrt(moments.correction(b2, increment(count))) if eps_hat else eps

    rule = partial(
        amsgrad_form_rule if amsgrad else adam_form_rule, b1=b1, b2=b2, exact=exact_correction
    )
    slots = {"mu": Slot(), "nu": Slot(keep_dtype=True)}
    if not amsgrad:
        return leafwise(rule, optax.ScaleByAdamState, slots, at_step=eps_at)
    slots["nu_max"] = Slot(keep_dtype=True)
    return leafwise(rule, optax.ScaleByAmsgradState, slots, at_step=eps_at)
