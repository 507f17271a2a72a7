"""Weight decay: λθ added to the update.

    u = g + λ θ          λ a constant, or a schedule λ(k) of the steps already taken

Its place in the chain matters. Before the moments it is L2 regularisation (coupled: torch's
`Adam(weight_decay=)`). After the moments it is decoupled decay, as in AdamW: the moments do not
contain it. Source: Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", Algorithm 2.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import optax

from jaxopt_notes.optimizers.checks import check_finite_or_schedule
from jaxopt_notes.optimizers.engine import leafwise, state_class


@cache
def scheduled_decay_state() -> Any:
    """optax's state class of a scheduled decay."""
    return state_class(optax.add_decayed_weights(lambda count: 0.0))


def add_decayed_weights(
    weight_decay: optax.ScalarOrSchedule = 0.0,
    mask: Any | Callable[[optax.Params], Any] | None = None,
) -> optax.GradientTransformation:
    """Adds λθ to the update.

    Equal to `optax.add_decayed_weights`.

    Args:
      weight_decay: λ, a number or a schedule.
      mask: a tree of booleans, a prefix of such a tree, or a function from the parameters to such a
        tree; the decay applies where it is True.

    Returns:
      A transformation whose update needs `params`; its state is empty for a constant λ,
      optax's `WeightDecaySchedule` for a schedule, inside `optax.MaskedState` where masked.

    Raises:
      ValueError: λ is NaN or infinite; at the update, if params is None.
      TypeError: λ is neither a number nor callable.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import add_decayed_weights
    >>> decay, theta = add_decayed_weights(0.1), jnp.array([10.0, -20.0])
    >>> print(decay.update(jnp.zeros(2), decay.init(theta), theta)[0])
    [ 1. -2.]
    """
    check_finite_or_schedule("weight_decay", weight_decay)
    if callable(weight_decay):
        decay = leafwise(
            lambda g, p, s: g + s * p,
            state=scheduled_decay_state(),
            at_step=weight_decay,
            with_params=True,
        )
    elif isinstance(weight_decay, (int, float)) and weight_decay == 0:
        # Adding 0·θ instead would give NaN for an infinite θ and could change the update's dtype.
        decay = leafwise(lambda g, p: g, with_params=True)
    else:
        decay = leafwise(lambda g, p: g + weight_decay * p, with_params=True)
    return decay if mask is None else optax.masked(decay, mask)
