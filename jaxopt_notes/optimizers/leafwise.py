"""The one engine: lifts a rule on one array to a `GradientTransformation` on a tree.

A rule is a pure function of arrays that reads like its equation,

    rule(g, *slots, *step) -> (update, *slots)

with g one leaf of the gradient, a slot each accumulator of that leaf (m, v, …), and `step` what
the rule needs to know of the step: t for a bias correction, α_t for a schedule. All that is not
mathematics is here: trees, None leaves, accumulator dtypes, the count, and tracing.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike, DTypeLike


class Slot(NamedTuple):
    """How an accumulator starts, and which dtype it has.

    Attributes:
      initial: every element's value before the first step.
      dtype: the accumulator's dtype; None takes the parameter's at first, and from then on
        whatever the arithmetic gives.
      keep_dtype: cast back to the dtype of the step before, whatever the arithmetic gives.
    """

    initial: ArrayLike = 0.0
    dtype: DTypeLike | None = None
    keep_dtype: bool = False


def leafwise(
    rule: Callable[..., Any],
    state: Callable[..., Any] = optax.EmptyState,
    slots: Mapping[str, Slot] | None = None,
    *,
    at_step: Callable[[jax.Array], Any] | None = None,
    with_params: bool = False,
) -> optax.GradientTransformation:
    """Makes a transformation of a tree out of a rule on one array.

    Args:
      rule: `rule(g, *slots, [p], [step]) -> update`, or `(update, *slots)` where it has slots.
      state: the NamedTuple class of the state: the slots' names, and `count` if steps are counted.
      slots: the accumulators, in the order of the rule's arguments.
      at_step: what to hand the rule about the step, from the count of steps already taken,
        evaluated once a step. Without it a state that has a `count` hands over t = count + 1.
      with_params: hand the rule the parameter p as well.

    Returns:
      A `GradientTransformation`. Where the gradient is None, so are the update and the slots.
    """
    slots = slots or {}
    counts = "count" in getattr(state, "_fields", ())

    def on_leaf(g: Any, *args: Any) -> tuple[Any, ...]:
        out = rule(g, *args)
        update, *new = out if isinstance(out, tuple) else (out,)
        pairs = zip(new, args, slots.values(), strict=False)
        return update, *(_cast(x, old, slot) for x, old, slot in pairs)

    # Under a trace a rule is traced once for each (shape, dtype), not once for each leaf. Outside
    # jit every operation rounds by itself, as optax's do.
    traced_on_leaf = jax.jit(on_leaf)

    def init(params: optax.Params) -> Any:
        def filled(slot: Slot) -> Any:
            dtype = None if slot.dtype is None else jax.dtypes.canonicalize_dtype(slot.dtype)
            return jax.tree.map(lambda p: jnp.full_like(p, slot.initial, dtype=dtype), params)

        fields = {name: filled(slot) for name, slot in slots.items()}
        return state(count=jnp.zeros([], jnp.int32), **fields) if counts else state(**fields)

    def update(updates: optax.Updates, old: Any, params: optax.Params | None = None) -> Any:
        tree: Any
        leaves, tree = jax.tree.flatten(updates, is_leaf=lambda x: x is None)
        columns = [tree.flatten_up_to(getattr(old, name)) for name in slots]
        if with_params:
            if params is None:
                raise ValueError(
                    "params is None: pass the parameters, update(grads, state, params)"
                )
            columns.append(tree.flatten_up_to(params))
        fields = {"count": increment(old.count)} if counts else {}
        step = tuple(fields.values()) if at_step is None else (at_step(old.count),)

        apply = traced_on_leaf if any(isinstance(g, jax.core.Tracer) for g in leaves) else on_leaf
        nothing = (None,) * (1 + len(slots))
        rows = [
            nothing if g is None else apply(g, *column, *step)
            for g, *column in zip(leaves, *columns, strict=True)
        ]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(nothing)
        new_updates, *new_slots = map(tree.unflatten, columns)
        fields.update(zip(slots, new_slots, strict=True))
        return new_updates, state(**fields)

    return optax.GradientTransformation(init, update)


def increment(count: ArrayLike) -> jax.Array:
    """count + 1, which stays at the dtype's largest value instead of overflowing."""
    count = jnp.asarray(count)
    floating = jnp.issubdtype(count.dtype, jnp.floating)
    largest = (jnp.finfo if floating else jnp.iinfo)(count.dtype).max
    return jnp.where(count < largest, count + jnp.ones([], count.dtype), count)


def _cast(new: jax.Array, old: jax.Array, slot: Slot) -> jax.Array:
    if slot.dtype is not None:
        return new.astype(jax.dtypes.canonicalize_dtype(slot.dtype))
    return new.astype(old.dtype) if slot.keep_dtype else new
