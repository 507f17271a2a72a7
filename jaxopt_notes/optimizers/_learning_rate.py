"""The learning rate: the last link of every chain.

u = −α g            α a constant
u = −α(k) g         α a schedule, k = 0, 1, 2, … the steps already taken
"""

import jax.numpy as jnp
import optax

from jaxopt_notes.optimizers.checks import check_finite_or_schedule
from jaxopt_notes.optimizers.engine import leafwise


def scale_by_learning_rate(
    learning_rate: optax.ScalarOrSchedule | None = None, *, flip_sign: bool = True
) -> optax.GradientTransformation:
    """Multiplies by −α, for descent, or by α.

    Equal to `optax.scale_by_learning_rate`. A schedule's value is cast to the gradient's dtype; a
    constant follows JAX's dtype promotion.

    Args:
      learning_rate: α, a number or a schedule (a function of the steps taken); None leaves the
        update as it is. A negative α climbs.
      flip_sign: multiply by −α; False: by α.

    Returns:
      A transformation whose state is `optax.EmptyState`, or `optax.ScaleByScheduleState` for a
      schedule.

    Raises:
      ValueError: α is NaN or infinite.
      TypeError: α is neither a number nor callable.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import scale_by_learning_rate
    >>> rate = scale_by_learning_rate(0.5)
    >>> updates, _ = rate.update(jnp.array([2.0, -4.0]), rate.init(jnp.zeros(2)))
    >>> print(updates)
    [-1.  2.]
    """
    if learning_rate is None:
        return optax.identity()
    check_finite_or_schedule("learning_rate", learning_rate)
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return leafwise(
            lambda g, alpha: jnp.asarray(alpha, g.dtype) * g,
            state=optax.ScaleByScheduleState,
            at_step=lambda count: sign * learning_rate(count),
        )
    alpha = sign * learning_rate
    return leafwise(lambda g: alpha * g)
