"""What a training run carries from step to step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes.models import PureModel


class TrainState(NamedTuple):
    """All that a step changes; any part but `step` may be empty.

    Attributes:
      step: int32, the number of steps done.
      params: the network's parameters.
      opt_state: the optimizer's state.
      batch_stats: running averages of batch normalisation.
      key: the training's random key; each step folds the step's number into the key.
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
    """The state before the first step; with an average of the parameters if `averaged`.

    The parameters are copied: a step reuses its state's memory, and the model must keep its own
    parameters.
    """

    @jax.jit  # one program; outside jit, JAX compiles one for each shape
    def fresh(params: Any, batch_stats: Any, key: jax.Array) -> TrainState:
        params, batch_stats = jax.tree.map(jnp.copy, (params, batch_stats))
        ema = jax.tree.map(jnp.copy, params) if averaged else ()
        step = jnp.zeros([], jnp.int32)
        return TrainState(step, params, optimizer.init(params), batch_stats, key, ema)

    return fresh(model.params, model.batch_stats, key)
