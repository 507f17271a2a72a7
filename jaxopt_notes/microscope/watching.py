"""Observes an optimizer during training: its state keeps norms, ratios and shares.

For a group of leaves with gradient g, parameters θ and update u (θ ← θ + u):

    gradient_norm              ‖g‖
    norm_after/LINK            ‖what a link of the chain hands on‖
    update_norm                ‖u‖
    parameter_norm             ‖θ‖
    update_ratio               ‖u‖ / ‖θ‖
    effective_learning_rate    ‖u‖ / ‖g‖, with which plain SGD would step as far
    second_moment_below_eps    share of elements with √ν < ε: ε decides how far these move

and for a link that clips, the share of measured steps at which it changed an update.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes.microscope.links import link_names, run_links

EVERY = 10  # steps


class WatchState(NamedTuple):
    """The state of a watched optimizer. Only arrays, in dicts whose keys are the names.

    Attributes:
      inner: the optimizer's own state.
      step: int32 (), updates so far.
      measured: int32 (), how many of them were measured.
      norms: group → float32 (2 + links,): of the parameters (NaN where the optimizer was not given
        them), of the gradients, and after each link. The groups are those of the parameters.
      below_eps: group → float32 (), for the groups that have a second moment.
      links: "number name" → int32 (), measured steps at which the link changed what it was given.

    >>> state = watch(optax.sgd(0.1)).init({"w": jnp.zeros(3)})
    >>> print(state.step, state.norms["w"])
    0 [0. 0. 0. 0.]
    """

    inner: Any
    step: jax.Array
    measured: jax.Array
    norms: dict[str, jax.Array]
    below_eps: dict[str, jax.Array]
    links: dict[str, jax.Array]


class _Reading(NamedTuple):
    norms: dict[str, jax.Array]
    below_eps: dict[str, jax.Array]
    links: dict[str, jax.Array]


def watch(
    optimizer: optax.GradientTransformation,
    *,
    every: int = EVERY,
    group: Callable[[str], str] | None = None,
    eps: float = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """Wraps an optimizer so that its state records measurements; updates stay bit-equal.

    Args:
      optimizer: any transformation; `optax.chain` is opened, and each of its links is measured.
      every: measure every so many steps, beginning with the first. A measured step runs the links
        once more, so a small number costs time.
      group: a function from a leaf's name, such as "conv1/kernel", to its group's name (default:
        each leaf is a group).
      eps: the ε to compare the second moment with.

    Returns:
      The transformation. Its state is a `WatchState`; `readings` reads it, wherever it is nested.

    Raises:
      ValueError: `every` is below 1.

    >>> optimizer = watch(optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1)))
    >>> params = {"w": jnp.array([3.0, 4.0])}
    >>> state = optimizer.init(params)
    >>> updates, state = optimizer.update({"w": jnp.array([0.0, 10.0])}, state, params)
    >>> read = readings(state)
    >>> float(read["w/gradient_norm"]), float(read["0 clip_by_global_norm/clipped"])
    (10.0, 1.0)
    """
    if every < 1:
        raise ValueError(f"every={every}: must be at least 1")
    if isinstance(optimizer, optax.MultiSteps):
        optimizer = optimizer.gradient_transformation()
    inner = optax.with_extra_args_support(optimizer)
    group = group or (lambda name: name)
    links = [f"{i} {name}" for i, name in enumerate(link_names(optimizer))]

    def init(params: Any) -> WatchState:
        state = inner.init(params)
        # Only the names count: traced, nothing is computed.
        groups = jax.eval_shape(lambda: _sums_of_squares(params, group))
        moments = jax.eval_shape(lambda: _shares_below(state, eps, group))
        norms = {name: jnp.zeros(2 + len(links)) for name in groups}
        below = {name: jnp.float32(0) for name in moments}
        changed = {link: jnp.int32(0) for link in links}
        return WatchState(state, jnp.int32(0), jnp.int32(0), norms, below, changed)

    def measure(updates: Any, state: WatchState, params: Any, extra: dict[str, Any]) -> _Reading:
        outputs = run_links(optimizer, updates, state.inner, params, **extra)
        stages = [updates, *(output.updates for output in outputs)]
        columns = [_sums_of_squares(tree, group) for tree in (params, *stages)]
        norms = {
            name: jnp.sqrt(
                jnp.stack([column.get(name, jnp.float32(jnp.nan)) for column in columns])
            )
            for name in state.norms
        }
        below = _shares_below([output.state for output in outputs], eps, group)
        changed = {
            link: state.links[link] + _differ(before, after)
            for link, before, after in zip(links, stages, stages[1:])
        }
        return _Reading(norms, below, changed)

    def update(
        updates: Any, state: WatchState, params: Any = None, **extra: Any
    ) -> tuple[Any, WatchState]:
        due = state.step % every == 0
        # A second use of a gradient could make XLA group, and so round, the inner update's
        # operations differently. An array of another shape is separate in the program.
        apart = jax.tree.map(lambda x: jnp.expand_dims(x, 0), updates)
        reading = jax.lax.cond(
            due,
            lambda: measure(jax.tree.map(lambda x: x[0], apart), state, params, extra),
            lambda: _Reading(state.norms, state.below_eps, state.links),
        )
        moved, new = inner.update(updates, state.inner, params, **extra)
        return moved, WatchState(new, state.step + 1, state.measured + due, *reading)

    return optax.GradientTransformationExtraArgs(init, update)


def readings(state: Any) -> dict[str, jax.Array]:
    """A watched optimizer's measurements at its last measured step, as one flat dictionary.

    Args:
      state: a `WatchState`, or anything that holds some, at any depth: the state of a chain, of
        MultiSteps, masked or inject_hyperparams, an `nnx.Optimizer`, a TrainState.

    Returns:
      "group/quantity" → float32 (): the quantities of this module's docstring; "link/clipped" for
      the links that clip; "step", the number of updates. Quantities that need the parameters are
      NaN if the optimizer does not get them. With several watched optimizers, each name begins with
      the optimizer's number: "0/", "1/".

    Raises:
      ValueError: it contains no watched optimizer.

    >>> optimizer, params = watch(optax.sgd(0.5)), {"w": jnp.array([3.0, 4.0])}
    >>> _, state = optimizer.update(params, optimizer.init(params), params)
    >>> read = readings(state)
    >>> float(read["w/gradient_norm"]), float(read["w/update_norm"]), float(read["w/update_ratio"])
    (5.0, 2.5, 0.5)
    """
    opt_state = getattr(state, "opt_state", state)
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, WatchState))
    watched = [node for node in nodes if isinstance(node, WatchState)]
    if not watched:
        raise ValueError("state: holds no watched optimizer; wrap the optimizer in watch(...)")
    if len(watched) == 1:
        return _flat(watched[0])
    return {f"{i}/{name}": x for i, one in enumerate(watched) for name, x in _flat(one).items()}


def _flat(state: WatchState) -> dict[str, jax.Array]:
    links = sorted(state.links, key=lambda link: int(link.partition(" ")[0]))
    flat = {"step": state.step}
    for link in links:
        if "clip" in link:
            flat[f"{link}/clipped"] = state.links[link] / jnp.maximum(state.measured, 1)
    for name, norms in state.norms.items():
        parameter, gradient, *after = norms
        update = after[-1]
        flat[f"{name}/gradient_norm"] = gradient
        flat |= {f"{name}/norm_after/{link}": norm for link, norm in zip(links, after[:-1])}
        flat[f"{name}/update_norm"] = update
        flat[f"{name}/parameter_norm"] = parameter
        flat[f"{name}/update_ratio"] = update / parameter
        flat[f"{name}/effective_learning_rate"] = update / gradient
        if name in state.below_eps:
            flat[f"{name}/second_moment_below_eps"] = state.below_eps[name]
    return flat


def _grouped(tree: Any, group: Callable[[str], str]) -> dict[str, list[jax.Array]]:
    """The floating-point leaves, by group."""
    groups: dict[str, list[jax.Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if path and path[-1] == jax.tree_util.GetAttrKey("value"):  # within an nnx.Variable
            path = path[:-1]
        if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            groups.setdefault(group(name), []).append(jnp.asarray(leaf))
    return groups


def _sums_of_squares(tree: Any, group: Callable[[str], str]) -> dict[str, jax.Array]:
    def squares(leaf: jax.Array) -> jax.Array:
        wide = jnp.abs(leaf).astype(jnp.promote_types(leaf.dtype, jnp.float32))
        return jnp.sum(wide**2).astype(jnp.float32)

    groups = _grouped(tree, group)
    return {name: sum(map(squares, leaves), jnp.float32(0)) for name, leaves in groups.items()}


def _shares_below(state: Any, eps: float, group: Callable[[str], str]) -> dict[str, jax.Array]:
    """The share of the elements of each group's second moment whose root is below ε."""
    counts: dict[str, list[tuple[jax.Array, int]]] = {}
    for tree in _second_moments(state):
        for name, leaves in _grouped(tree, group).items():
            for leaf in leaves:
                below = jnp.sum(jnp.sqrt(leaf.astype(jnp.float32)) < eps)
                counts.setdefault(name, []).append((below, leaf.size))
    return {
        name: jnp.float32(sum(below for below, _ in each)) / max(1, sum(size for _, size in each))
        for name, each in counts.items()
    }


def _second_moments(state: Any) -> Iterator[Any]:
    """The trees of second moments in an optimizer's state: fields called ν or G."""
    if isinstance(state, tuple):
        for name, value in zip(getattr(state, "_fields", [""] * len(state)), state):
            if name in ("nu", "sum_of_squares"):
                yield value
            else:
                yield from _second_moments(value)
    elif isinstance(state, list | dict):
        for value in state.values() if isinstance(state, dict) else state:
            yield from _second_moments(value)


def _differ(before: Any, after: Any) -> jax.Array:
    """int32 (): 1 where any element of two trees differs."""
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    return jnp.any(jnp.array([jnp.any(x != y) for x, y in pairs] or [False])).astype(jnp.int32)
