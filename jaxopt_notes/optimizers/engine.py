"""The one engine: lifts an optimizer's rule on one array to a transformation of a tree.

An optimizer is one function of arrays that reads like its equations. It takes the gradient of one
leaf and that leaf's accumulators, and returns the update and the new accumulators:

    def heavy_ball(g, v, *, decay):
        v = g + decay * v
        return v, v

A rule with bias correction yields its moving averages and receives them back corrected:

    def adam(g, m, v, *, b1, b2, eps):
        m = (1 - b1) * g + b1 * m
        v = (1 - b2) * abs_sq(g) + b2 * v
        m_hat, v_hat = yield Debias(m, b1), Debias(v, b2)
        return m_hat / (jnp.sqrt(v_hat) + eps), m, v

The engine divides the averages of all leaves by 1 − β^t in one program, as optax does: XLA rounds
the division of one array and of several arrays in different ways. The engine also handles
everything else that is not mathematics: trees, None leaves, accumulator dtypes, the step count, and
tracing.
"""

import inspect
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike, DTypeLike

from jaxopt_notes.optimizers import moments
from jaxopt_notes.optimizers._tracing import map_traced

Row = tuple[Any, ...]  # the arrays of one leaf
Request = Any  # a `Debias`, or a tuple of them
DebiasedRule = Generator[Request, Any, tuple[Any, ...]]  # what a rule with a `yield` returns


class Slot(NamedTuple):
    """How an accumulator starts, and which dtype it has.

    Attributes:
      initial: every element's value before the first step.
      dtype: the accumulator's dtype; None starts with the parameter's dtype and then takes the
        dtype that the arithmetic gives.
      keep_dtype: cast the new value back to the dtype of the step before.
    """

    initial: ArrayLike = 0.0
    dtype: DTypeLike | None = None
    keep_dtype: bool = False


class Debias(NamedTuple):
    """A rule's request: this moving average divided by 1 − β^t.

    Attributes:
      average: the moving average of one leaf.
      decay: β.
      ahead: divide by 1 − β^{t+1}.
      exact: compute the correction to full precision, rather than as optax rounds it.
    """

    average: Any
    decay: Any
    ahead: bool = False
    exact: bool = False

    def correction(self, t: jax.Array) -> jax.Array:
        """1 − β^t, or 1 − β^{t+1}."""
        correction = moments.exact_correction if self.exact else moments.correction
        return correction(self.decay, increment(t) if self.ahead else t)


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
      rule: `rule(g, *slots, [p], [scalar]) -> (update, *slots)`; without slots it returns the
        update alone. It may yield `Debias` requests, once.
      state: the NamedTuple class of the state, with the slots' names as fields, and `count` if it
        counts steps.
      slots: the accumulators, in the order of the rule's arguments.
      at_step: a schedule: from the number of steps already taken to the scalar.
      with_params: pass the rule the parameter p.

    Returns:
      A `GradientTransformation`. Where the gradient is None, the update and the slots are None too.
    """
    slots = slots or {}
    counts = "count" in getattr(state, "_fields", ())
    debiases = inspect.isgeneratorfunction(rule)

    def advance(
        rows: list[Row], corrections: Callable[[Request], list[Any]], *scalar: Any
    ) -> list[Row]:
        """Turns (g, *slots, [p]) of each leaf into its (update, *slots)."""
        results = [rule(*row, *scalar) for row in rows]
        if debiases:
            results = _debiased(results, corrections)
        results = results if slots else [(update,) for update in results]
        return [
            (update, *map(_cast, new, row[1:], slots.values()))
            for (update, *new), row in zip(results, rows)
        ]

    # Under jit, leaves of one kind share one trace of the rule. A rule without slots is one or two
    # operations, so tracing it costs no more than a call. The corrections are computed outside the
    # rule, so that leaves share them. Outside jit every operation rounds by itself, as in optax.
    def advance_leaf(row: Row, corrections: list[Any], *scalar: Any) -> Row:
        return advance([row], lambda _: corrections, *scalar)[0]

    advance_traced = map_traced(advance_leaf, called=bool(slots))

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
        scalar = [at_step(old.count)] if at_step else []

        def corrections(request: Request) -> list[Any]:
            return [debias.correction(t) for debias in _as_tuple(request)]

        if any(isinstance(g, jax.core.Tracer) for g in leaves):
            shared = corrections(_request(rule, rows[0], scalar)) if debiases else []
            moved = iter(advance_traced(rows, shared, *scalar))
        else:
            moved = iter(advance(rows, corrections, *scalar))

        nothing = (None,) * (1 + len(slots))
        out = [nothing if g is None else next(moved) for g in leaves]
        new_updates, *new = (tree.unflatten([row[i] for row in out]) for i in range(len(nothing)))
        fields = dict(zip(slots, new))
        return new_updates, state(count=t, **fields) if counts else state(**fields)

    return optax.GradientTransformation(init, update)


def increment(count: ArrayLike) -> jax.Array:
    """count + 1; stays at the dtype's largest value instead of overflowing."""
    count = jnp.asarray(count)
    floating = jnp.issubdtype(count.dtype, jnp.floating)
    largest = (jnp.finfo if floating else jnp.iinfo)(count.dtype).max
    return jnp.where(count < largest, count + jnp.ones([], count.dtype), count)


def is_cut(x: Any) -> bool:
    """Whether an array's type says that it is sharded, on a mesh with explicit axes.

    >>> is_cut(jnp.ones(3))
    False
    """
    return any(axis is not None for axis in jax.typeof(x).sharding.spec)


def state_class(optimizer: optax.GradientTransformation) -> Any:
    """The class of a transformation's state; some of optax's state classes have no public name.

    >>> state_class(optax.scale_by_rms(bias_correction=True))._fields
    ('count', 'nu')
    """
    # `init` is traced, not run: running it would start a backend when the package is imported.
    return type(jax.eval_shape(optimizer.init, jax.ShapeDtypeStruct((), jnp.float32)))


def _debiased(
    rules: list[DebiasedRule], corrections: Callable[[Request], list[Any]]
) -> list[tuple[Any, ...]]:
    """Runs the rules of all leaves up to their requests, then all of them to their end."""
    requests, results = _run(rules, [None] * len(rules))
    if not requests:  # the rule has no bias correction here, or the tree has no leaf
        return results
    averages = zip(*([debias.average for debias in _as_tuple(r)] for r in requests))
    corrected = zip(*map(moments.debias, map(list, averages), corrections(requests[0])))
    single = isinstance(requests[0], Debias)
    requests, results = _run(rules, [answer[0] if single else answer for answer in corrected])
    if requests:
        raise RuntimeError("a rule may yield once")
    return results


def _run(rules: list[DebiasedRule], answers: Iterable[Any]) -> tuple[list[Request], list[Any]]:
    """Sends each rule its answer; returns what the rules yield and what they return."""
    requests, results = [], []
    for rule, answer in zip(rules, answers):
        try:
            requests.append(rule.send(answer))
        except StopIteration as end:
            results.append(end.value)
    return requests, results


def _request(rule: Callable[..., DebiasedRule], row: Row, scalar: list[Any]) -> Request:
    """The request of a rule, found by tracing it without computing anything."""
    requests: list[Request] = []

    def ask(row: Row) -> None:
        for request in _run([rule(*row, *scalar)], [None])[0]:
            requests.extend(debias._replace(average=None) for debias in _as_tuple(request))

    jax.eval_shape(ask, row)
    return tuple(requests)


def _filled_like(params: optax.Params, slot: Slot) -> Any:
    dtype = None if slot.dtype is None else jax.dtypes.canonicalize_dtype(slot.dtype)

    def filled_like(p: Any) -> jax.Array:
        filled = jnp.full_like(p, slot.initial, dtype=dtype)
        return _depending_on(p, filled) if isinstance(p, jax.core.Tracer) else filled

    return jax.tree.map(filled_like, params)


def _depending_on(p: jax.Array, constant: jax.Array) -> jax.Array:
    """The constant, as a value that depends on p in XLA's view.

    Outside jit an accumulator has its parameter's sharding. Under jit XLA would place a constant by
    its own choice; a value computed from p gets p's sharding.
    """
    return jnp.where(p == p, constant, constant)


def _as_tuple(x: Request) -> tuple[Debias, ...]:
    return (x,) if isinstance(x, Debias) else x


def _cast(new: jax.Array, old: jax.Array, slot: Slot) -> jax.Array:
    if slot.dtype is not None:
        return new.astype(jax.dtypes.canonicalize_dtype(slot.dtype))
    return new.astype(old.dtype) if slot.keep_dtype else new
