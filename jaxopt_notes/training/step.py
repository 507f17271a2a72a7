"""One training step, and one evaluation step, as pure functions."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.models import PureModel
from jaxopt_notes.models.sharding import devices_in_trace, gpu_in_trace
from jaxopt_notes.training.augment import shift
from jaxopt_notes.training.state import TrainState

_AT_ONCE = 1 << 20  # pixels


class Batch(NamedTuple):
    """Images uint8 (batch, height, width, channels) and labels int32 (batch,)."""

    images: jax.Array
    labels: jax.Array


class Metrics(NamedTuple):
    """Sums over examples: loss in nats (float32), right answers and examples (int32)."""

    loss: jax.Array
    correct: jax.Array
    examples: jax.Array


class Normalization(NamedTuple):
    """The training set's mean and standard deviation per channel, for pixels in 0 … 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: jax.Array) -> jax.Array:
        """Converts uint8 pixels (..., channels) to float32 of mean 0 and standard deviation 1."""
        pixels = images.astype(jnp.float32) / 255
        shape = (1,) * (images.ndim - 1) + (-1,)
        mean, std = (np.array(x, np.float32).reshape(shape) for x in self)
        return (pixels - mean) / std


def normalization_of(images: np.ndarray) -> Normalization:
    """The normalization of uint8 images (n, height, width, channels).

    A constant channel keeps its scale.
    """
    pixels = images.reshape(-1, images.shape[-1])
    total = squares = np.zeros(images.shape[-1], np.int64)  # exact
    for first in range(0, len(pixels), _AT_ONCE):
        some = pixels[first : first + _AT_ONCE].astype(np.uint16)  # room for 255²
        total = total + some.sum(0, np.int64)
        squares = squares + np.square(some).sum(0, np.int64)
    # n Σ x² − (Σ x)² in Python's integers: nothing cancels
    n, sums = len(pixels), list(zip(total.tolist(), squares.tolist()))
    mean = [x / (255 * n) for x, _ in sums]
    std = [math.sqrt(n * x2 - x * x) / (255 * n) for x, x2 in sums]
    return Normalization(tuple(mean), tuple(s or 1.0 for s in std))


def make_train_step(
    model: PureModel,
    optimizer: optax.GradientTransformation,
    normalize: Normalization,
    shift_by: int = 0,
    ema_decay: float | None = None,
    check_gradients: bool = False,
    label_smoothing: float = 0.0,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The step: normalise, network, loss, gradient, optimizer. Pure; jit it with the state donated.

    The step differentiates the mean loss of the batch; its metrics belong to the parameters before
    the update.

    Args:
      model: the network.
      optimizer: the update rule.
      normalize: from pixels to the network's input.
      shift_by: each image is first shifted at random by up to this many pixels.
      ema_decay: β of the average of the parameters in `state.ema`, θ̄ ← β_t θ̄ + (1 − β_t) θ with
        β_t = min(β, t / (t + 9)): small β_t at first, so that the average soon forgets its start.
      check_gradients: whether a gradient that is not finite turns a finite loss into NaN; without
        it, only the next step's loss shows such a gradient.
      label_smoothing: s in [0, 1), the share of each label that the loss spreads evenly over all
        classes (`losses.cross_entropy`).
    """

    def loss_fn(params: Any, state: TrainState, batch: Batch) -> tuple[jax.Array, Any]:
        key = jax.random.fold_in(state.key, state.step)
        # Two keys, because the network folds its key again for each of its layers.
        shift_key, dropout_key = (jax.random.fold_in(key, i) for i in (1, 0))
        images = normalize(shift(shift_key, batch.images, shift_by))
        logits, batch_stats = model.apply(
            params, state.batch_stats, images, dropout_key, train=True
        )
        labels = batch.labels
        if gpu_in_trace():  # saves two launches: the gradient of picking a logit is a scatter
            labels = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        losses = cross_entropy(logits, labels, label_smoothing=label_smoothing)
        return losses.mean(), (batch_stats, measure(logits, losses, batch.labels))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        grads, (batch_stats, metrics) = jax.grad(loss_fn, has_aux=True)(state.params, state, batch)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if ema_decay is not None:
            t = state.step.astype(jnp.float32)
            beta = jnp.minimum(jnp.float32(ema_decay), (t + 1) / (t + 10))
            ema = optax.incremental_update(params, ema, 1 - beta)
        if check_gradients:
            sound = jnp.isfinite(optax.tree.norm(grads))
            metrics = metrics._replace(loss=jnp.where(sound, metrics.loss, jnp.nan))
        return TrainState(state.step + 1, params, opt_state, batch_stats, state.key, ema), metrics

    return step


def make_forward(
    model: PureModel, normalize: Normalization
) -> Callable[[Any, Any, jax.Array], jax.Array]:
    """`forward(params, batch_stats, images) -> logits`: the trained network, from uint8 pixels.

    Images are uint8 (batch, height, width, channels), logits (batch, classes). Batch normalisation
    uses the running averages, and dropout is off. Equal networks share one function, so JAX traces
    it once.
    """
    return _forward(model.apply, normalize)


@functools.lru_cache(maxsize=32)
def _forward(
    apply: Callable[..., Any], normalize: Normalization
) -> Callable[[Any, Any, jax.Array], jax.Array]:
    def forward(params: Any, batch_stats: Any, images: jax.Array) -> jax.Array:
        return apply(params, batch_stats, normalize(images))[0]

    return forward


def make_eval_step(
    model: PureModel, normalize: Normalization
) -> Callable[[Any, Any, Batch, jax.Array], Metrics]:
    """The metrics of a batch by `make_forward`; examples with `real` False are padding."""
    return _eval_step(make_forward(model, normalize))


@functools.lru_cache(maxsize=32)
def _eval_step(
    forward: Callable[[Any, Any, jax.Array], jax.Array],
) -> Callable[[Any, Any, Batch, jax.Array], Metrics]:

    def step(params: Any, batch_stats: Any, batch: Batch, real: jax.Array) -> Metrics:
        logits = forward(params, batch_stats, batch.images)
        return measure(logits, cross_entropy(logits, batch.labels), batch.labels, real)

    return step


def measure(
    logits: jax.Array, losses: jax.Array, labels: jax.Array, real: jax.Array | None = None
) -> Metrics:
    """Sums the losses (batch,) and right answers of the examples that are `real` (all if None)."""
    real = jnp.ones(labels.shape, bool) if real is None else real
    correct = (logits.argmax(-1) == labels) & real
    if devices_in_trace() > 1:
        # As float32 (exact to 2²⁴) the count is summed over the devices together with the
        # gradients.
        correct = correct.astype(jnp.float32)
    if devices_in_trace() == 1 and gpu_in_trace():  # one launch for both sums
        both = jnp.stack([jnp.where(real, losses, 0), correct.astype(losses.dtype)])
        loss, count = both.sum(1)
        return Metrics(loss, count.astype(jnp.int32), real.sum(dtype=jnp.int32))
    count = correct.sum().astype(jnp.int32)
    return Metrics(jnp.where(real, losses, 0).sum(), count, real.sum(dtype=jnp.int32))
