"""A Flax module as a pure function of arrays; its graph is split once, outside jit."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx


class PureModel(NamedTuple):
    """A network as a function, with its initial values.

    Attributes:
      apply: `apply(params, batch_stats, images, key=None, train=False) -> (logits, batch_stats)`,
        pure. `key` feeds dropout. Training updates the batch statistics; evaluation uses them.
      params: the initial parameters, nested dicts of arrays.
      batch_stats: the initial running averages, nested dicts; empty if the network has none.

    >>> from jaxopt_notes.models import MLP
    >>> model = pure(MLP(nnx.Rngs(0), (4, 4, 1), widths=(8,)))
    >>> images = jax.numpy.ones((2, 4, 4, 1))
    >>> logits, batch_stats = model.apply(model.params, model.batch_stats, images)
    >>> logits.shape, batch_stats
    ((2, 10), {})
    """

    apply: Callable[..., tuple[jax.Array, Any]]
    params: Any
    batch_stats: Any


def pure(module: nnx.Module) -> PureModel:
    """Splits a module into a pure function and plain trees.

    Plain nested dicts, because jit flattens its arguments at every call, and nnx's state classes
    flatten in Python, which is slow.

    >>> model = pure(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    >>> jax.tree.map(jax.numpy.shape, model.params)
    {'bias': (2,), 'kernel': (3, 2)}
    """
    parts: Any = nnx.split(module, nnx.Param, nnx.BatchStat)
    graph, params, batch_stats = parts
    try:
        apply = _shared_apply(graph)
    except TypeError:  # a user's module has an unhashable attribute
        apply = _apply(graph)
    return PureModel(apply, nnx.to_pure_dict(params), nnx.to_pure_dict(batch_stats))


def _apply(graph: Any) -> Callable[..., tuple[jax.Array, Any]]:
    """`PureModel.apply`."""

    def apply(
        params: Any,
        batch_stats: Any,
        images: jax.Array,
        key: jax.Array | None = None,
        train: bool = False,
    ) -> tuple[jax.Array, Any]:
        network = nnx.merge(graph, params, batch_stats)
        if train:
            network.train()
        else:
            network.eval()
        logits = network(images, rngs=None if key is None else nnx.Rngs(dropout=key))
        return logits, nnx.to_pure_dict(nnx.state(network, nnx.BatchStat))

    return apply


# Equal networks share one function, so JAX traces it once.
_shared_apply = functools.lru_cache(maxsize=32)(_apply)


def parameter_count(params: Any) -> int:
    """The number of elements in the parameters.

    >>> parameter_count(pure(nnx.Linear(3, 2, rngs=nnx.Rngs(0))).params)
    8
    """
    return sum(leaf.size for leaf in jax.tree.leaves(params))
