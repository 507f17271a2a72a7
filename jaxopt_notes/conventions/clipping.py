r"""torch.nn.utils' gradient clipping, as transformations to put first in an `optax.chain`.

clip_grad_norm      c = min(1, max_norm / (‖g‖ + 1e-6)) ; g ← c g      ‖g‖ over all parameters
clip_grad_value     g ← min(max(g, −clip_value), clip_value)

The names have no trailing underscore: in torch it means that the gradients change in place. Follows
torch 2.13.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes.optimizers.checks import check_not_negative
from jaxopt_notes.optimizers.engine import leafwise


def clip_grad_norm(max_norm: float, norm_type: float = 2.0) -> optax.GradientTransformation:
    """c = min(1, max_norm / (‖g‖ + 1e-6)) ; g ← c g: torch's `clip_grad_norm_`.

    `optax.clip_by_global_norm` has no 1e-6: it leaves every gradient of norm ≤ max_norm as it is,
    and scales a larger norm to exactly max_norm. torch's clipped gradient is shorter by a relative
    1e-6 / ‖g‖: 1e-6 for max_norm = 1, a few percent for max_norm = 1e-5. torch also shortens a
    gradient of norm max_norm − 1e-6 or more. The norm runs over all gradients that the
    transformation gets. A frozen parameter has no gradient in torch; pass None or zeros for it
    here, so that it does not count.

    Args:
      max_norm: the largest norm; infinity changes nothing.
      norm_type: p of the p-norm, infinity for the largest element.

    Returns:
      A transformation without state. Gradients that are None stay None. A norm that is not finite
      makes gradients NaN or 0, as with torch's `error_if_nonfinite=False`.

    Raises:
      ValueError: max_norm is negative or NaN.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import torch
    >>> clip, g = torch.clip_grad_norm(1e-5), jnp.array([3.0, 4.0]) * 1e-5
    >>> print([f"{x:.2e}" for x in clip.update(g, clip.init(g))[0]])
    ['5.88e-06', '7.84e-06']
    """
    check_not_negative("max_norm", max_norm, infinite=True)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        leaves = jax.tree.leaves(updates)
        if not leaves:
            return updates, state
        # torch takes the norm of the parameters' norms, each rounded to its parameter's dtype.
        total = _norm(jnp.stack([_norm(g, norm_type) for g in leaves]), norm_type)
        factor = jnp.minimum(max_norm / (total + 1e-6), 1.0)
        return jax.tree.map(lambda g: factor.astype(_real(g)) * g, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def clip_grad_value(clip_value: float) -> optax.GradientTransformation:
    """g ← min(max(g, −clip_value), clip_value): torch's `clip_grad_value_`, and `optax.clip`.

    Args:
      clip_value: the largest absolute value of an element.

    Returns:
      A transformation without state. Gradients that are None stay None.

    Raises:
      ValueError: clip_value is negative or NaN.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import torch
    >>> clip, g = torch.clip_grad_value(1.0), jnp.array([-3.0, 0.5])
    >>> print(clip.update(g, clip.init(g))[0])
    [-1.   0.5]
    """
    check_not_negative("clip_value", clip_value, infinite=True)
    return leafwise(lambda g: jnp.clip(g, -clip_value, clip_value))


def _norm(x: jax.Array, norm_type: float) -> jax.Array:
    """The p-norm in the dtype of |x|; for half precision the sum is in float32, as in torch."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    norm: Any = jnp.linalg.vector_norm
    of: jax.Array = norm(wide.ravel(), ord=norm_type)
    return of.astype(_real(x))


def _real(x: jax.Array) -> Any:
    return jnp.finfo(x.dtype).dtype
