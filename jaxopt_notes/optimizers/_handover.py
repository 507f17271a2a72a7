"""Handover: one optimizer up to a step T, another after it.

    u_t = first(g_t)     while t ≤ T        T = a given number of steps, or the first t at which
    u_t = second(g_t)    once t > T         when(state_t, u_t) is True

Schedules in both optimizers count all steps, as if each optimizer had run from the start. While an
optimizer does not run, its moments and the count of its bias correction do not change. At T,
`carry` may build the second optimizer's state from the first optimizer's.

Source: no paper describes the switch itself. `_adam_to_sgd.py` switches from Adam to SGD and has
rules for the state to carry.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxopt_notes.optimizers._weight_decay import scheduled_decay_state
from jaxopt_notes.optimizers.engine import increment


class HandoverState(NamedTuple):
    """The state of a handover.

    Attributes:
      steps: int32, steps taken.
      switched_at: int32, how many steps the first optimizer took; −1 while it still runs.
      first: the first optimizer's state.
      second: the second optimizer's state.
    """

    steps: jax.Array
    switched_at: jax.Array
    first: Any
    second: Any


T = TypeVar("T")
When = Callable[[HandoverState, optax.Updates], Any]
Carry = Callable[[Any, Any], Any]


@functools.cache
def _schedule_states() -> tuple[Any, ...]:
    """optax's state classes that count the steps of a schedule."""
    injected = optax.inject_hyperparams(optax.scale)(step_size=lambda count: 1.0)
    inner = jax.eval_shape(injected.init, ()).hyperparams_states
    return (
        optax.ScaleByScheduleState,
        scheduled_decay_state(),
        optax.InjectHyperparamsState,
        optax.InjectStatefulHyperparamsState,
        type(inner["step_size"]),
    )


def handover(
    first: optax.GradientTransformation,
    second: optax.GradientTransformation,
    when: int | When,
    carry: Carry | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Runs `first` until `when`, then `second`; it never switches back.

    One compiled program holds both optimizers and computes only the active one (under `jax.vmap` it
    computes both and selects one). Updates before the switch are those of `first`. Updates after it
    are those of `second`, started at the switch, except that its schedules have counted all steps
    and `carry` may have set its state. All updates have the dtype that `first` gives.

    Args:
      first: the optimizer that begins.
      second: the optimizer that takes over.
      when: the number of steps that `first` takes; or `when(state, updates)`, called after each
        step of `first` with the `HandoverState` and the update, both traced: True makes that step
        the last of `first`.
      carry: `carry(first_state, second_state) -> second_state`, at the switch; None leaves
        `second` as `init` made it.

    Returns:
      A transformation with state `HandoverState`, which always holds both optimizers' states.

    Raises:
      ValueError: `when` is negative; at `init`, if an optimizer holds an `optax.MultiSteps`, which
        counts its steps differently: wrap the handover in the MultiSteps instead.
      TypeError: `when` is neither a whole number nor a function; at the update, if it does not
        return one boolean.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import adam, handover, sgd
    >>> optimizer, g = handover(adam(0.1), sgd(1.0), when=2), jnp.array([4.0])
    >>> state = optimizer.init(g)
    >>> for _ in range(3):
    ...     u, state = optimizer.update(g, state)
    ...     print(f"{u[0]:.2f}")
    -0.10
    -0.10
    -4.00
    """
    if not callable(when):
        check_when("when", when)
    first, second = map(optax.with_extra_args_support, (first, second))

    def switch_if(due: Any, state: HandoverState) -> HandoverState:
        def switch() -> HandoverState:
            new = carry(state.first, state.second) if carry else state.second
            # A copy, because a donated state must not hold one buffer twice.
            at = jnp.array(state.steps)
            return state._replace(switched_at=at, second=_as(state.second, new))

        return _choose(due, switch, lambda: state)

    def init(params: optax.Params) -> HandoverState:
        steps, never = jnp.zeros([], jnp.int32), jnp.full([], -1, jnp.int32)
        state = HandoverState(steps, never, first.init(params), second.init(params))
        _refuse_multi_steps(state)
        return state if callable(when) else switch_if(when <= 0, state)

    def update(
        updates: optax.Updates,
        state: HandoverState,
        params: optax.Params | None = None,
        **extra: Any,
    ) -> tuple[optax.Updates, HandoverState]:
        steps = increment(state.steps)

        def run_first() -> tuple[optax.Updates, HandoverState]:
            moved, after = first.update(updates, state.first, params, **extra)
            waiting = advance_schedules(state.second)
            new = HandoverState(steps, state.switched_at, after, waiting)
            due = _answer(when, new, moved) if callable(when) else steps >= when
            return moved, switch_if(due, new)

        def run_second() -> tuple[optax.Updates, HandoverState]:
            moved, after = second.update(updates, state.second, params, **extra)
            done = advance_schedules(state.first)
            return moved, HandoverState(steps, state.switched_at, done, after)

        # In mixed precision an optimizer's first step may widen the dtype of its state; the
        # inactive optimizer has to keep that dtype.
        moved, by_first = jax.eval_shape(run_first)
        _, by_second = jax.eval_shape(run_second)
        like = moved, by_first._replace(second=by_second.second)
        return _choose(
            state.switched_at >= 0, lambda: _as(like, run_second()), lambda: _as(like, run_first())
        )

    return optax.GradientTransformationExtraArgs(init, update)


def find_handover(state: Any) -> HandoverState | None:
    """The state of the outermost handover in an optimizer's state, or None.

    >>> import jax.numpy as jnp, optax
    >>> from jaxopt_notes import adam, handover, sgd
    >>> optimizer = optax.chain(optax.clip(1.0), handover(adam(0.1), sgd(0.1), when=3))
    >>> print(find_handover(optimizer.init(jnp.zeros(2))).switched_at)
    -1
    """
    return next(_instances(state, HandoverState), None)


def advance_schedules(state: Any) -> Any:
    """The state with each schedule's count increased by one, and nothing else changed."""

    kinds = _schedule_states()

    def advance(node: Any) -> Any:
        if not isinstance(node, kinds):
            return node
        inner = {name: getattr(node, name) for name in node._fields if name != "count"}
        return type(node)(count=increment(node.count), **advance_schedules(inner))

    return jax.tree.map(advance, state, is_leaf=lambda x: isinstance(x, kinds))


def _choose(condition: Any, yes: Callable[[], T], no: Callable[[], T]) -> T:
    """`lax.cond` if the condition is traced. Otherwise a plain `if`: without compilation each
    operation rounds by itself, so the results equal the plain optimizer's."""
    if isinstance(condition, jax.core.Tracer):
        chosen: T = lax.cond(condition, yes, no)
        return chosen
    return yes() if condition else no()


def _as(like: Any, tree: T) -> T:
    """The tree, cast to the dtypes of `like`."""
    cast: T = jax.tree.map(lambda old, new: jnp.asarray(new, old.dtype), like, tree)
    return cast


def _answer(when: When, state: HandoverState, updates: optax.Updates) -> jax.Array:
    answer = jnp.asarray(when(state, updates))
    if answer.shape != () or answer.dtype != bool:
        raise TypeError(f"when(state, updates) gave {answer.dtype}{answer.shape}, not one boolean")
    return answer


def check_when(name: str, steps: Any) -> None:
    """Raises TypeError unless `when` is a whole number, ValueError if it is negative."""
    if isinstance(steps, jax.Array):
        return
    if isinstance(steps, bool) or not hasattr(steps, "__index__"):
        raise TypeError(f"{name}={steps!r} is not a number of steps")
    if steps < 0:
        raise ValueError(f"{name}={steps!r} is negative")


def _refuse_multi_steps(state: Any) -> None:
    if next(_instances(state, optax.MultiStepsState), None) is not None:
        raise ValueError(
            "handover: contains a MultiSteps; put MultiSteps around the handover instead"
        )


def _instances(state: Any, kind: Any) -> Any:
    leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, kind))
    return (x for x in leaves if isinstance(x, kind))
