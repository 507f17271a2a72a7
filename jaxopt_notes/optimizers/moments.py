"""What the rules with moving averages share: |g|² and the correction of a moment's bias."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

Scalar = Any  # a hyper-parameter: a number, or an array of shape ()


def abs_sq(g: jax.Array) -> jax.Array:
    """|g|², real also where g is complex."""
    return (g.conj() * g).real if jnp.iscomplexobj(g) else g * g


# A jit of its own even where nothing else is: β is then a run-time value, as it is in optax, and
# the power of a constant rounds differently. The root is taken in β's precision, not in the
# moment's: in bfloat16 1 − 0.999 would be 0.
@functools.partial(jax.jit, inline=True)
def debias(moment: jax.Array, decay: Scalar, t: jax.Array) -> jax.Array:
    """moment / (1 − decay^t): an average that began at zero, unbiased (Kingma & Ba 2014, §3)."""
    return moment / (1 - decay**t).astype(moment.dtype)
