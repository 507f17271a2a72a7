"""What a training run carries from step to step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes.models import PureModel


class TrainState(NamedTuple):
    """All that changes in a step; any part but the step may be empty.

    Attributes:
      step: int32, how many steps were taken.
      params: the network's parameters.
      opt_state: the optimizer's state.
      batch_stats: running averages of batch normalisation.
      key: the run's random key; a step draws from it folded with the step's number, so that a step
        needs no key but this one.
      ema: the running average of the parameters.
    """

    step: jax.Array
    params: Any
    opt_state: Any
    batch_stats: Any
    key: jax.Array
    ema: Any = ()


def create(
    model: PureModel,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    averaged: bool = False,
) -> TrainState:
    """The state before the first step; `averaged` where the parameters' average is kept too.

    The parameters are copied: a step gives its state's memory away, and the model keeps its own.
    """

    @jax.jit  # one program: outside of jit there would be one for each shape
    def fresh(params: Any, batch_stats: Any, key: jax.Array) -> TrainState:
        params, batch_stats = jax.tree.map(jnp.copy, (params, batch_stats))
        ema = jax.tree.map(jnp.copy, params) if averaged else ()
        step = jnp.zeros([], jnp.int32)
        return TrainState(step, params, optimizer.init(params), batch_stats, key, ema)

    return fresh(model.params, model.batch_stats, key)
