"""MNIST to a target accuracy in the manner of Flax's own MNIST tutorial (NNX).

Layers, `nnx.jit`, `nnx.Optimizer` and `nnx.MultiMetric` as there; the network (maximum pooling, 128
hidden units) and the recipe are the notes'.
"""

from functools import partial
from typing import Any

import numpy as np
import optax
from flax import nnx

from benchmarks.contestants.recipe import (
    B2,
    BATCH,
    EPOCHS,
    EVAL_BATCH,
    PEAK,
    WARMUP,
    Task,
    normalized,
    report,
    task_from_options,
)

Batch = dict[str, Any]


class CNN(nnx.Module):
    """The notes' network, of Flax's layers."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        he = nnx.initializers.he_normal()
        self.conv1 = nnx.Conv(1, 32, kernel_size=(3, 3), kernel_init=he, rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, kernel_size=(3, 3), kernel_init=he, rngs=rngs)
        self.max_pool = partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))
        self.linear1 = nnx.Linear(3136, 128, kernel_init=he, rngs=rngs)
        self.linear2 = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = self.max_pool(nnx.relu(self.conv1(x)))
        x = self.max_pool(nnx.relu(self.conv2(x)))
        x = x.reshape(x.shape[0], -1)
        x = nnx.relu(self.linear1(x))
        return self.linear2(x)


def new_metrics() -> nnx.MultiMetric:
    """Loss and accuracy, averaged on the device."""
    return nnx.MultiMetric(accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average("loss"))


def loss_fn(model: CNN, batch: Batch) -> tuple[Any, Any]:
    """Mean cross-entropy, and the logits."""
    logits = model(batch["image"])
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
    return losses.mean(), logits


@nnx.jit
def train_step(
    model: CNN, optimizer: nnx.Optimizer, metrics: nnx.MultiMetric, batch: Batch
) -> None:
    """One step, in place."""
    (loss, logits), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model, batch)
    metrics.update(loss=loss, logits=logits, labels=batch["label"])
    optimizer.update(model, grads)


@nnx.jit
def eval_step(model: CNN, metrics: nnx.MultiMetric, batch: Batch) -> None:
    """Adds a batch to the metrics."""
    loss, logits = loss_fn(model, batch)
    metrics.update(loss=loss, logits=logits, labels=batch["label"])


def one_cycle(steps: int) -> optax.Schedule:
    """The recipe's rate, which begins anew each epoch."""
    cycle = optax.warmup_cosine_decay_schedule(
        PEAK / 25, PEAK, round(WARMUP * steps), steps, PEAK / 1e4
    )
    return lambda step: cycle(step % steps)


def test_accuracy(model: CNN, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of the test set that is right."""
    metrics = new_metrics()
    for i in range(0, len(labels), EVAL_BATCH):
        part = slice(i, i + EVAL_BATCH)
        eval_step(model, metrics, {"image": images[part], "label": labels[part]})
    return float(metrics.compute()["accuracy"])


def train(task: Task) -> list[float]:
    """Trains until the target is reached; returns the test accuracy after each epoch."""
    data = task.data
    images = normalized(data.train_images, data.train_images)
    test_images = normalized(data.test_images, data.train_images)
    model, metrics = CNN(rngs=nnx.Rngs(task.seed)), new_metrics()
    schedule = one_cycle(len(images) // BATCH)
    optimizer = nnx.Optimizer(model, optax.adam(schedule, b2=B2), wrt=nnx.Param)
    accuracies: list[float] = []
    while len(accuracies) < EPOCHS and task.target > max(accuracies, default=0):
        for i in task.order(len(accuracies)):
            batch = {"image": images[i], "label": data.train_labels[i]}
            train_step(model, optimizer, metrics, batch)
            if task.first_step_only:
                metrics.compute()["loss"].block_until_ready()
                return []
        accuracies.append(test_accuracy(model, test_images, data.test_labels))
    return accuracies


if __name__ == "__main__":
    report(train(task_from_options()))
