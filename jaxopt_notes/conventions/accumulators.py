"""Puts another framework's accumulators into a state."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes.errors import InputError


def fitted(name: str, tree: Any, params: optax.Params) -> Any:
    """A copy of an accumulator's tree, checked against the parameters' shapes and dtypes.

    Raises:
      InputError: a shape or dtype differs. `name` is the accumulator's name in its framework.
    """
    expected: Any = jax.tree.structure(params)
    if jax.tree.structure(tree) != expected:
        raise InputError(f"`arrange` makes of {name} a tree with a different structure from params")
    for (path, x), p in zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(params)):
        if (x.shape, x.dtype) != (jnp.shape(p), jnp.result_type(p)):
            raise InputError(
                f"{name} at {jax.tree_util.keystr(path)} is {x.dtype}{list(x.shape)}, "
                f"the parameter {jnp.result_type(p)}{list(jnp.shape(p))}"
            )
    # A copy, because jnp.asarray may share memory that the framework's next step overwrites.
    return jax.tree.map(jnp.array, tree)


def filled(state: Any, fields: Mapping[str, Any], count_of: Callable[[Any], int]) -> Any:
    """The state with all occurrences of the named fields and of the counts replaced.

    Args:
      state: as `init` made it.
      fields: name in the state → tree of the accumulator.
      count_of: a function from a node of the state with a count to the new count.
    """

    def holds(node: Any) -> bool:
        return any(name in fields or name == "count" for name in getattr(node, "_fields", ()))

    def fill(node: Any) -> Any:
        if not holds(node):
            return node
        new = {
            name: _masked_as(fields[name], getattr(node, name))
            for name in node._fields
            if name in fields
        }
        if "count" in node._fields:
            new["count"] = jnp.asarray(count_of(node), jnp.int32)
        return node._replace(**new)

    return jax.tree.map(fill, state, is_leaf=holds)


def _masked_as(tree: Any, like: Any) -> Any:
    """The tree with a `MaskedNode` wherever `like` has one."""

    def masked(x: Any) -> bool:
        return isinstance(x, optax.MaskedNode)

    return jax.tree.map(lambda old, x: old if masked(old) else x, like, tree, is_leaf=masked)
