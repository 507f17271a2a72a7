r"""Lion: the sign of an interpolation between the gradient and its moving average.

    u_t = −α (sign(β1 m_{t−1} + (1 − β1) g_t) + λ θ)
    m_t = β2 m_{t−1} + (1 − β2) g_t

Every parameter moves by ±α, whatever the gradient's size. Lion keeps one accumulator, Adam keeps
two. The update uses m_{t−1} and β1; the accumulator uses β2. With β1 = β2 Lion is the sign of
momentum.

Source: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", Algorithm 2.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike, DTypeLike

from jaxopt_notes.optimizers._learning_rate import scale_by_learning_rate
from jaxopt_notes.optimizers._weight_decay import add_decayed_weights
from jaxopt_notes.optimizers.checks import check_decay, check_dtype
from jaxopt_notes.optimizers.engine import Slot, leafwise
from jaxopt_notes.optimizers.moments import Scalar


def lion_rule(
    g: jax.Array, m: jax.Array, *, b1: Scalar, b2: Scalar, sign: Callable[[jax.Array], jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Algorithm 2, without the learning rate and the decay."""
    return sign((1 - b1) * g + b1 * m), (1 - b2) * g + b2 * m


def _sign(mode: str, smooth_beta: float) -> Callable[[jax.Array], jax.Array]:
    signs: dict[str, Callable[[jax.Array], jax.Array]] = {
        "hard": jnp.sign,
        "smooth": lambda x: jnp.tanh(smooth_beta * x),
        "refined": lambda x: jnp.where(jnp.abs(x) < 1.0, x, jnp.sign(x)),
    }
    if mode not in signs:
        raise ValueError(f"mode={mode!r} is not one of {', '.join(signs)}")
    return signs[mode]


def scale_by_lion(
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.99,
    mu_dtype: DTypeLike | None = None,
    *,
    mode: Literal["hard", "smooth", "refined"] = "hard",
    smooth_beta: float = 1.0,
) -> optax.GradientTransformation:
    """Lion's direction sign(β1 m_{t−1} + (1 − β1) g_t).

    Equal to `optax.scale_by_lion`.

    Args:
      b1: β1 in [0, 1), of the direction.
      b2: β2 in [0, 1), of the moving average.
      mu_dtype: dtype of m; None takes the parameters'.
      mode: "hard": the sign; "smooth": tanh(γ x) instead; "refined": x where |x| < 1.
      smooth_beta: γ of "smooth".

    Returns:
      A transformation with state `optax.ScaleByLionState(count=t, mu=m)`.

    Raises:
      ValueError: an argument is outside its interval, or the mode is unknown.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import scale_by_lion
    >>> direction, g = scale_by_lion(), jnp.array([100.0, -0.01, 0.0])
    >>> print(direction.update(g, direction.init(g))[0])
    [ 1. -1.  0.]
    """
    check_decay("b1", b1)
    check_decay("b2", b2)
    check_dtype("mu_dtype", mu_dtype)
    rule = partial(lion_rule, b1=b1, b2=b2, sign=_sign(mode, smooth_beta))
    return leafwise(rule, optax.ScaleByLionState, {"mu": Slot(dtype=mu_dtype)})


def lion(
    learning_rate: optax.ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.99,
    mu_dtype: DTypeLike | None = None,
    weight_decay: optax.ScalarOrSchedule = 1e-3,
    mask: Any | Callable[[optax.Params], Any] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Lion: θ ← θ − α (sign(β1 m_{t−1} + (1 − β1) g_t) + λ θ).

    Equal to `optax.lion`. Its steps are larger than Adam's: the paper uses a learning rate three to
    ten times smaller, and a λ larger by the same factor.

    Args:
      learning_rate: α, a number or a schedule.
      b1: β1 in [0, 1), of the direction.
      b2: β2 in [0, 1), of the moving average.
      mu_dtype: dtype of m; None takes the parameters'.
      weight_decay: λ, a number or a schedule.
      mask: a tree of booleans, or a function of the parameters that gives one: where to decay.

    Returns:
      `scale_by_lion`, `add_decayed_weights`, `scale_by_learning_rate`; its update needs `params`.

    Raises:
      ValueError: an argument is outside its interval; at the update, if params is None.
      TypeError: an argument is not a number.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import lion
    >>> optimizer, theta = lion(0.1, weight_decay=0.5), jnp.array([1.0, -2.0])
    >>> print(optimizer.update(jnp.array([3.0, 0.0]), optimizer.init(theta), theta)[0])
    [-0.15  0.1 ]
    """
    return optax.chain(
        scale_by_lion(b1, b2, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
