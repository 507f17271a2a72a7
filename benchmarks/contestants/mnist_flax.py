"""MNIST by the recipe of `time_to_accuracy`, in the manner of Flax's own MNIST tutorial (NNX).

Layers, `nnx.jit`, `nnx.Optimizer` and `nnx.MultiMetric` are used as in the tutorial; the network
(max pooling, 128 hidden units) and the recipe are those of the notes.
"""

from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from benchmarks.contestants.recipe import (
    EVAL_BATCH,
    Recipe,
    Task,
    normalized,
    order,
    report,
    task_from_options,
)

Batch = dict[str, Any]


class CNN(nnx.Module):
    """The notes' network, built from Flax's layers."""

    def __init__(self, *, rngs: nnx.Rngs, zero_logits: bool = False) -> None:
        last = nnx.initializers.zeros if zero_logits else nnx.initializers.lecun_normal()
        he = nnx.initializers.he_normal()
        self.conv1 = nnx.Conv(1, 32, kernel_size=(3, 3), kernel_init=he, rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, kernel_size=(3, 3), kernel_init=he, rngs=rngs)
        self.max_pool = partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))
        self.linear1 = nnx.Linear(3136, 128, kernel_init=he, rngs=rngs)
        self.linear2 = nnx.Linear(128, 10, kernel_init=last, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = self.max_pool(nnx.relu(self.conv1(x)))
        x = self.max_pool(nnx.relu(self.conv2(x)))
        x = x.reshape(x.shape[0], -1)
        x = nnx.relu(self.linear1(x))
        return self.linear2(x)


def new_metrics() -> nnx.MultiMetric:
    """Loss and accuracy, averaged on the device."""
    return nnx.MultiMetric(accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average("loss"))


def loss_fn(model: CNN, batch: Batch, smoothing: float = 0.0) -> tuple[Any, Any]:
    """Mean cross-entropy, and the logits."""
    logits = model(batch["image"])
    if smoothing:
        labels = optax.smooth_labels(jax.nn.one_hot(batch["label"], 10), smoothing)
        return optax.softmax_cross_entropy(logits, labels).mean(), logits
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
    return losses.mean(), logits


def _train_step(
    model: CNN,
    optimizer: nnx.Optimizer,
    metrics: nnx.MultiMetric,
    batch: Batch,
    smoothing: float = 0.0,
) -> None:
    """One step, in place."""
    gradient = nnx.value_and_grad(partial(loss_fn, smoothing=smoothing), has_aux=True)
    (loss, logits), grads = gradient(model, batch)
    metrics.update(loss=loss, logits=logits, labels=batch["label"])
    optimizer.update(model, grads)


train_step = nnx.jit(_train_step, static_argnames="smoothing")


@nnx.jit
def eval_step(model: CNN, metrics: nnx.MultiMetric, batch: Batch) -> None:
    """Adds a batch to the metrics."""
    loss, logits = loss_fn(model, batch)
    metrics.update(loss=loss, logits=logits, labels=batch["label"])


def optimizer_of(recipe: Recipe) -> optax.GradientTransformation:
    """The recipe's Adam, with another learning rate for the dense layers' weights (two axes)."""
    peak, rising = recipe.peak, round(recipe.warmup * recipe.steps)
    low, end, falling = peak / 25, peak / 1e4, recipe.steps - rising
    cycle = optax.warmup_cosine_decay_schedule(low, peak, rising, recipe.steps, end)
    if recipe.linear:
        parts = ((low, peak, rising), (peak, end, falling))
        cycle = optax.join_schedules([optax.linear_schedule(*part) for part in parts], [rising])
    return optax.chain(
        optax.adam(cycle, b2=recipe.b2, nesterov=recipe.nesterov),
        optax.stateless_with_tree_map(lambda u, _: u * recipe.dense_rate if u.ndim == 2 else u),
    )


def test_accuracy(model: CNN, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of the test set that is classified correctly."""
    metrics = new_metrics()
    for i in range(0, len(labels), EVAL_BATCH):
        part = slice(i, i + EVAL_BATCH)
        eval_step(model, metrics, {"image": images[part], "label": labels[part]})
    return float(metrics.compute()["accuracy"])


def train(task: Task) -> list[float]:
    """Trains by the recipe; returns the test accuracy, or nothing if it takes only a first step."""
    data, recipe = task.data, task.recipe
    images = normalized(data.train_images, data.train_images)
    model = CNN(rngs=nnx.Rngs(task.seed), zero_logits=recipe.zero_logits)
    metrics = new_metrics()
    optimizer = nnx.Optimizer(model, optimizer_of(recipe), wrt=nnx.Param)
    for i in order(recipe, task.seed, len(images)):
        batch = {"image": images[i], "label": data.train_labels[i]}
        train_step(model, optimizer, metrics, batch, smoothing=recipe.smoothing)
        if task.first_step_only:
            metrics.compute()["loss"].block_until_ready()
            return []
    test_images = normalized(data.test_images, data.train_images)
    return [test_accuracy(model, test_images, data.test_labels)]


if __name__ == "__main__":
    report(train(task_from_options()))
