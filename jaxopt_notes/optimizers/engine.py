"""The one engine: lifts rules on one array to a `GradientTransformation` on a tree.

An optimizer is two pure functions of arrays that read like its equations,

    remember(g, *slots)   -> slots      what it keeps of the gradients: m_t, v_t, …
    move(g, *slots)       -> update     where it goes, from the gradient and what it keeps

with g one leaf of the gradient and a slot each accumulator of that leaf. Between the two the engine
corrects the slots' bias, if asked to. All that is not mathematics is here: trees, None leaves,
accumulator dtypes, the count, and tracing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike, DTypeLike

from jaxopt_notes.optimizers import moments

Row = tuple[Any, ...]  # what belongs to one leaf


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


class Debiased(NamedTuple):
    """A moving average divided by 1 − β^t, for `move` to read in place of the average.

    Attributes:
      name: the slot, or "g" for the gradient itself.
      decay: β.
      ahead: divide by 1 − β^{t+1}.
      exact: the correction to full precision, rather than as optax rounds it.
    """

    name: str
    decay: Any
    ahead: bool = False
    exact: bool = False

    def correction(self, t: jax.Array) -> jax.Array:
        correction = moments.exact_correction if self.exact else moments.correction
        return correction(self.decay, increment(t) if self.ahead else t)


def leafwise(
    move: Callable[..., jax.Array],
    remember: Callable[..., Any] | None = None,
    state: Callable[..., Any] = optax.EmptyState,
    slots: Mapping[str, Slot] | None = None,
    *,
    debias: Sequence[Debiased] = (),
    at_step: Callable[[jax.Array], Any] | None = None,
    with_params: bool = False,
) -> optax.GradientTransformation:
    """Makes a transformation of a tree out of rules on one array.

    Args:
      move: `move(g, *slots, [p], [scalar]) -> update`; where `debias` is given, its averages stand
        in the slots' place.
      remember: `remember(g, *slots) -> slots`, a tuple where there are several; None for no slots.
      state: the NamedTuple class of the state: the slots' names, and `count` if steps are counted.
      slots: the accumulators, in the order of the rules' arguments.
      debias: the averages that `move` reads, in the order of its arguments.
      at_step: the scalar as a function of the count of steps already taken: a schedule.
      with_params: hand `move` the parameter p.

    Returns:
      A `GradientTransformation`. Where the gradient is None, so are the update and the slots.
    """
    slots = slots or {}
    counts = "count" in getattr(state, "_fields", ())

    def advance(rows: list[Row], corrections: list[Any], scalars: list[Any]) -> list[Row]:
        """From (g, *slots, [p]) of each leaf its (update, *slots)."""
        n = 1 + len(slots)
        kept = [_as_tuple(remember(*row[:n])) if remember else () for row in rows]
        named = [{"g": row[0], **dict(zip(slots, new))} for row, new in zip(rows, kept)]
        averages = [
            moments.debias([of[d.name] for of in named], c) for d, c in zip(debias, corrections)
        ]
        seen = zip(*averages) if debias else kept
        moved = [move(row[0], *x, *row[n:], *scalars) for row, x in zip(rows, seen)]
        return [
            (update, *map(_cast, new, row[1:n], slots.values()))
            for update, new, row in zip(moved, kept, rows)
        ]

    # Under a trace the rules are traced once for each (shape, dtype), not once for each leaf: but
    # for those that keep nothing, which are an operation or two, as quickly traced as called.
    # Outside jit every operation rounds by itself, as optax's do.
    traced_advance = jax.jit(advance) if slots else advance

    def init(params: optax.Params) -> Any:
        fields = {name: _filled_like(params, slot) for name, slot in slots.items()}
        return state(count=jnp.zeros([], jnp.int32), **fields) if counts else state(**fields)

    def update(updates: optax.Updates, old: Any, params: optax.Params | None = None) -> Any:
        if with_params and params is None:
            raise ValueError("params is None: pass the parameters, update(grads, state, params)")
        tree: Any
        leaves, tree = jax.tree.flatten(updates, is_leaf=lambda x: x is None)
        columns = [tree.flatten_up_to(getattr(old, name)) for name in slots]
        columns += [tree.flatten_up_to(params)] if with_params else []
        rows = [row for row in zip(leaves, *columns) if row[0] is not None]

        t: Any = increment(old.count) if counts else None
        corrections = [d.correction(t) for d in debias]
        scalars = [at_step(old.count)] if at_step else []
        if any(isinstance(g, jax.core.Tracer) for g in leaves):
            moved = iter([traced_advance([row], corrections, scalars)[0] for row in rows])
        else:
            moved = iter(advance(rows, corrections, scalars))

        nothing = (None,) * (1 + len(slots))
        out = [nothing if g is None else next(moved) for g in leaves]
        new_updates, *new = (tree.unflatten([row[i] for row in out]) for i in range(len(nothing)))
        fields = dict(zip(slots, new))
        return new_updates, state(count=t, **fields) if counts else state(**fields)

    return optax.GradientTransformation(init, update)


def increment(count: ArrayLike) -> jax.Array:
    """count + 1, which stays at the dtype's largest value instead of overflowing."""
    count = jnp.asarray(count)
    floating = jnp.issubdtype(count.dtype, jnp.floating)
    largest = (jnp.finfo if floating else jnp.iinfo)(count.dtype).max
    return jnp.where(count < largest, count + jnp.ones([], count.dtype), count)


def _filled_like(params: optax.Params, slot: Slot) -> Any:
    dtype = None if slot.dtype is None else jax.dtypes.canonicalize_dtype(slot.dtype)

    def filled_like(p: Any) -> jax.Array:
        filled = jnp.full_like(p, slot.initial, dtype=dtype)
        # Outside jit it lies on the devices as p does. Inside, XLA has to see that it belongs to p.
        return jnp.where(p == p, filled, filled) if isinstance(p, jax.core.Tracer) else filled

    return jax.tree.map(filled_like, params)


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def _cast(new: jax.Array, old: jax.Array, slot: Slot) -> jax.Array:
    if slot.dtype is not None:
        return new.astype(jax.dtypes.canonicalize_dtype(slot.dtype))
    return new.astype(old.dtype) if slot.keep_dtype else new
