"""Draws the state before the first step by one program, which a thread compiles.

Meanwhile the main thread traces the training step, which needs only the shapes of the state.
"""

import functools
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import nnx

from jaxopt_notes.models import PureModel, pure
from jaxopt_notes.runtime.compilation import compile_in_thread, sooner
from jaxopt_notes.training.state import TrainState, create

Make = Callable[[nnx.Rngs], Any]


class Drawing(NamedTuple):
    """A first state whose program is being compiled.

    Attributes:
      model: the network as a function; its parameters are shapes only.
      shapes: the shapes of the state.
      compiled: the program that makes a state from a seed; not ready yet.
    """

    model: PureModel
    shapes: TrainState
    compiled: Future[Callable[..., Any]]

    def state(self, seed: int) -> TrainState:
        """`create(pure(make(nnx.Rngs(seed))), optimizer, jax.random.key(seed))`, bit for bit."""
        state: TrainState = self.compiled.result()(_seed(seed))[1]
        return state


def begin_drawing(
    make: Make, optimizer: optax.GradientTransformation, averaged: bool = False
) -> Drawing:
    """Traces the program that draws the first state, and has a thread compile it.

    Args:
      make: draws the network from random number generators.
      optimizer: the optimizer, whose first state is drawn too.
      averaged: whether the state has an average of the parameters.
    """
    # The program makes the random key itself: outside, the key would need two more programs.
    draw = functools.partial(_draw, make, optimizer, averaged)
    lowered = jax.jit(draw, **sooner()).lower(_seed(0))
    graph, shapes = jax.tree.map(_shape, lowered.out_info)
    network = nnx.merge(graph, shapes.params, shapes.batch_stats)
    return Drawing(pure(network), shapes, compile_in_thread(lowered.compile))


def _draw(
    make: Make,
    optimizer: optax.GradientTransformation,
    averaged: bool,
    seed: jax.Array,
) -> tuple[Any, TrainState]:
    key = jax.random.key(seed)
    network = make(nnx.Rngs(key))
    graph = nnx.split(network, nnx.Param, nnx.BatchStat)[0]
    return graph, create(pure(network), optimizer, key, averaged)


def _seed(seed: int) -> Any:
    return np.int64(seed).astype(np.int32)  # as `jax.random.key` converts a Python integer


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)
