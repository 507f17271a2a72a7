r"""Adam, and AdamW: momentum's average over RMSProp's root, both made unbiased.

    m_t = β1 m_{t−1} + (1 − β1) g_t            m̂_t = m_t / (1 − β1^t)
    v_t = β2 v_{t−1} + (1 − β2) g_t²           v̂_t = v_t / (1 − β2^t)
    u_t = −α m̂_t / (√(v̂_t + ε_root) + ε)       ε_root = 0 but for derivatives through the update
    AdamW: u_t = −α (m̂_t / (√v̂_t + ε) + λ θ)   the decay does not pass through the moments

ε stands outside the root and after the bias correction, as in the paper, the notes, optax and
torch. TensorFlow 1 and Keras add it before the correction ("epsilon hat"): their ε is this ε times
√(1 − β2^t). Nesterov's form (NAdam) takes m̂_t = β1 m_t / (1 − β1^{t+1}) + (1 − β1) g_t / (1 −
β1^t).

Sources: Kingma & Ba 2014, "Adam: A Method for Stochastic Optimization", Algorithm 1;
Dozat 2016, "Incorporating Nesterov Momentum into Adam", Algorithm 2;
Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", Algorithm 2.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike, DTypeLike

from jaxopt_notes.optimizers._learning_rate import scale_by_learning_rate
from jaxopt_notes.optimizers._weight_decay import add_decayed_weights
from jaxopt_notes.optimizers.checks import check_decay, check_dtype, check_not_negative
from jaxopt_notes.optimizers.engine import Debias, DebiasedRule, Slot, leafwise
from jaxopt_notes.optimizers.moments import Scalar, abs_sq


def adam_rule(
    g: jax.Array,
    m: jax.Array,
    v: jax.Array,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
) -> DebiasedRule:
    """Kingma & Ba, Algorithm 1."""
    m = (1 - b1) * g + b1 * m
    v = (1 - b2) * abs_sq(g) + b2 * v
    m_hat, v_hat = yield Debias(m, b1), Debias(v, b2)
    return m_hat / (jnp.sqrt(v_hat + eps_root) + eps), m, v


def nadam_rule(
    g: jax.Array,
    m: jax.Array,
    v: jax.Array,
    *,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    eps_root: Scalar,
) -> DebiasedRule:
    """Dozat, Algorithm 2: m̂ looks one step ahead."""
    m = (1 - b1) * g + b1 * m
    v = (1 - b2) * abs_sq(g) + b2 * v
    m_next, g_hat, v_hat = yield Debias(m, b1, ahead=True), Debias(g, b1), Debias(v, b2)
    m_hat = b1 * m_next + (1 - b1) * g_hat
    return m_hat / (jnp.sqrt(v_hat + eps_root) + eps), m, v


def scale_by_adam(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Adam's direction m̂_t / (√(v̂_t + ε_root) + ε).

    Equal to `optax.scale_by_adam`.

    In float16 the default ε is 0 and a gradient of exactly zero gives NaN, as in optax: set `eps`
    to 1e-4 or more, or keep the parameters in float32.

    Args:
      b1: β1 in [0, 1).
      b2: β2 in [0, 1).
      eps: ε ≥ 0, outside the root.
      eps_root: ε_root ≥ 0, inside the root; needed to differentiate through the update.
      mu_dtype: dtype of m; None takes the parameters'.
      nesterov: Nesterov's form.

    Returns:
      A transformation with state `optax.ScaleByAdamState(count=t, mu=m, nu=v)`.

    Raises:
      ValueError: an argument is outside its interval.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import scale_by_adam
    >>> direction, g = scale_by_adam(), jnp.array([100.0, -0.01])
    >>> u, state = direction.update(g, direction.init(g))
    >>> print([f"{x:.4f}" for x in u])
    ['1.0000', '-1.0000']
    """
    check_decay("b1", b1)
    check_decay("b2", b2)
    check_not_negative("eps", eps)
    check_not_negative("eps_root", eps_root)
    check_dtype("mu_dtype", mu_dtype)
    rule = nadam_rule if nesterov else adam_rule
    return leafwise(
        partial(rule, b1=b1, b2=b2, eps=eps, eps_root=eps_root),
        optax.ScaleByAdamState,
        {"mu": Slot(dtype=mu_dtype), "nu": Slot(keep_dtype=True)},
    )


def adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam: θ ← θ − α m̂_t / (√v̂_t + ε).

    Equal to `optax.adam` and to torch's `Adam`; with `nesterov`, to `optax.nadam`.

    In float16 the default ε is 0 and a gradient of exactly zero gives NaN, as in optax: set `eps`
    to 1e-4 or more, or keep the parameters in float32.

    Args:
      learning_rate: α, a number or a schedule.
      b1: β1 in [0, 1).
      b2: β2 in [0, 1).
      eps: ε ≥ 0, outside the root.
      eps_root: ε_root ≥ 0, inside the root.
      mu_dtype: dtype of m; None takes the parameters'.
      nesterov: Nesterov's form.

    Returns:
      `scale_by_adam` and then `scale_by_learning_rate`.

    Raises:
      ValueError: an argument is outside its interval.
      TypeError: an argument is not a number.

    >>> import jax, jax.numpy as jnp, optax
    >>> from jaxopt_notes import adam
    >>> optimizer, theta = adam(0.1), jnp.array([1.0, -2.0])
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     updates, state = optimizer.update(jax.grad(lambda x: x @ x)(theta), state)
    ...     theta = optax.apply_updates(theta, updates)
    >>> print([f"{x:.4f}" for x in theta])
    ['0.7016', '-1.7006']
    """
    return optax.chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_learning_rate(learning_rate),
    )


def nadam(
    learning_rate: optax.ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """NAdam: Adam with Nesterov's look ahead, `adam(…, nesterov=True)`.

    θ ← θ − α m̂_t / (√v̂_t + ε), with m̂_t = β1 m_t / (1 − β1^{t+1}) + (1 − β1) g_t / (1 − β1^t).
    Equal to `optax.nadam`. The `NAdam` of torch and Keras uses another formula, in which β1 changes
    from step to step.

    In float16 the default ε is 0 and a gradient of exactly zero gives NaN, as in optax: set `eps`
    to 1e-4 or more, or keep the parameters in float32.

    Args:
      learning_rate: α, a number or a schedule.
      b1: β1 in [0, 1).
      b2: β2 in [0, 1).
      eps: ε ≥ 0, outside the root.
      eps_root: ε_root ≥ 0, inside the root.
      mu_dtype: dtype of m; None takes the parameters'.
      nesterov: False gives Adam.

    Returns:
      `scale_by_adam(nesterov=True)` and then `scale_by_learning_rate`.

    Raises:
      ValueError: an argument is outside its interval.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import nadam
    >>> optimizer, g = nadam(0.1), jnp.array([4.0, -0.5])
    >>> print([f"{u:.4f}" for u in optimizer.update(g, optimizer.init(g))[0]])
    ['-0.1474', '0.1474']
    """
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


def adamw(
    learning_rate: optax.ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: optax.ScalarOrSchedule = 1e-4,
    mask: Any | Callable[[optax.Params], Any] | None = None,
    *,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """AdamW: θ ← θ − α (m̂_t / (√v̂_t + ε) + λ θ).

    Equal to `optax.adamw` and to torch's `AdamW(weight_decay=λ)`. The decay is multiplied by α;
    Loshchilov & Hutter do not multiply it by α. λ defaults to 1e-4 in optax and here, and to 1e-2
    in torch.

    In float16 the default ε is 0 and a gradient of exactly zero gives NaN, as in optax: set `eps`
    to 1e-4 or more, or keep the parameters in float32.

    Args:
      learning_rate: α, a number or a schedule.
      b1: β1 in [0, 1).
      b2: β2 in [0, 1).
      eps: ε ≥ 0, outside the root.
      eps_root: ε_root ≥ 0, inside the root.
      mu_dtype: dtype of m; None takes the parameters'.
      weight_decay: λ, a number or a schedule.
      mask: a tree of booleans, or a function of the parameters that gives one: where to decay.
      nesterov: Nesterov's form.

    Returns:
      `scale_by_adam`, `add_decayed_weights`, `scale_by_learning_rate`; its update needs `params`.

    Raises:
      ValueError: an argument is outside its interval; at the update, if params is None.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import adamw
    >>> optimizer, theta = adamw(0.1, weight_decay=0.5), jnp.array([1.0, -2.0])
    >>> print(optimizer.update(jnp.zeros(2), optimizer.init(theta), theta)[0])
    [-0.05  0.1 ]
    """
    return optax.chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
