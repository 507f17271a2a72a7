"""The runs of `same_curve.py`: one network and one data set, trained by torch and by JAX."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx

from jaxopt_notes import conventions
from jaxopt_notes.data import Dataset, epoch_order
from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.models import MLP, from_torch, pure
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, make_train_step, normalization_of

BATCH, EVERY = 64, 5  # the test loss is taken after every fifth step
WIDTHS, DROPOUT, CLASSES = (128, 64), 0.1, 10
LEARNING_RATE, ALPHA, EPS, MOMENTUM, DECAY = 3e-4, 0.99, 1e-8, 0.9, 1e-3


class Curves(NamedTuple):
    """Training loss of each step; test loss after every fifth."""

    train: np.ndarray
    test: np.ndarray


class Images(NamedTuple):
    """Normalised images of one dtype, and their labels."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


class Run(NamedTuple):
    """All that decides JAX's run."""

    network: Any
    params: Any
    batch_stats: Any
    optimizer: optax.GradientTransformation
    batches: list[np.ndarray]
    key: jax.Array


def images_of(data: Dataset, dtype: Any) -> Images:
    """The data set's images, normalised by NumPy: both frameworks see the same numbers."""
    mean, std = normalization_of(data.train_images)
    train, test = (
        ((x / 255 - np.array(mean)) / np.array(std)).astype(dtype)
        for x in (data.train_images, data.test_images)
    )
    return Images(train, data.train_labels, test, data.test_labels)


def batches(seed: int, size: int, steps: int, keep_last: bool = False) -> list[np.ndarray]:
    """The images of each step; with the epoch's last, incomplete batch or without it."""
    order: list[np.ndarray] = []
    for epoch in range(steps):
        if len(order) >= steps:
            break
        (whole,) = epoch_order(seed, epoch, size, size)
        ends = range(0, size if keep_last else size - BATCH + 1, BATCH)
        order += [whole[first : first + BATCH] for first in ends]
    return order[:steps]


def schedule(steps: int, xp: Any) -> Callable[[Any], Any]:
    """A cosine from 1 to 0, of the steps taken; `xp` is NumPy or jax.numpy."""
    return lambda taken: (1 + xp.cos(np.pi * taken / steps)) / 2


# ---- dropout masks: drawn once, by JAX, for both


def masks(key: jax.Array, step: int, dtype: Any) -> list[jax.Array]:
    """The factors 0 and 1 / (1 − p) that JAX's training step multiplies by in this step."""
    rngs = nnx.Rngs(dropout=jax.random.fold_in(jax.random.fold_in(key, step), 0))
    dropout = nnx.Dropout(DROPOUT, deterministic=False)
    return [dropout(jnp.ones((BATCH, width), dtype), rngs=rngs) for width in WIDTHS]


class Masked(torch.nn.Module):
    """torch's dropout with a mask from outside."""

    mask: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask if self.training else x


# ---- torch


def torch_network(dtype: torch.dtype, seed: int = 0) -> torch.nn.Sequential:
    """The notes' dense network, drawn by torch."""
    torch.manual_seed(seed)
    layers: list[torch.nn.Module] = [torch.nn.Flatten()]
    for a, b in zip((784, *WIDTHS), WIDTHS):
        layers += [torch.nn.Linear(a, b), torch.nn.BatchNorm1d(b), torch.nn.ReLU(), Masked()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(WIDTHS[-1], CLASSES)).to(dtype)


def torch_run(network: torch.nn.Sequential, run: Run, images: Images) -> Curves:
    """torch's own training loop; order and dropout masks are those of `run`."""
    steps = len(run.batches)
    optimizer = torch.optim.RMSprop(
        network.parameters(), LEARNING_RATE, ALPHA, EPS, DECAY, MOMENTUM
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule(steps, np))
    x, labels, x_test, test_labels = map(torch.as_tensor, images)
    draw = jax.jit(lambda step: masks(run.key, step, images.train.dtype))
    train, test = [], []
    for step, chosen in enumerate(torch.as_tensor(np.array(run.batches))):
        for layer, mask in zip((m for m in network if isinstance(m, Masked)), draw(step)):
            layer.mask = torch.as_tensor(np.array(mask))
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x[chosen]), labels[chosen].long())
        loss.backward()
        optimizer.step()
        scheduler.step()
        train.append(loss.item())
        if (step + 1) % EVERY == 0:
            network.eval()
            with torch.no_grad():
                logits = network(x_test)
            test.append(torch.nn.functional.cross_entropy(logits, test_labels.long()).item())
            network.train()
    return Curves(np.array(train), np.array(test))


# ---- JAX


def jax_run(run: Run, images: Images) -> Curves:
    """The project's own training step."""
    model = pure(run.network)._replace(params=run.params, batch_stats=run.batch_stats)
    step = jax.jit(make_train_step(model, run.optimizer, lambda x: x))  # normalised already
    x_test, test_labels = jnp.asarray(images.test), jnp.asarray(images.test_labels)

    @jax.jit
    def evaluate(params: Any, batch_stats: Any) -> jax.Array:
        return cross_entropy(model.apply(params, batch_stats, x_test)[0], test_labels).mean()

    state = create(model, run.optimizer, run.key)
    train, test = [], []
    for i, chosen in enumerate(run.batches):
        batch = Batch(jnp.asarray(images.train[chosen]), jnp.asarray(images.train_labels[chosen]))
        state, metrics = step(state, batch)
        train.append(float(metrics.loss) / len(chosen))
        if (i + 1) % EVERY == 0:
            test.append(float(evaluate(state.params, state.batch_stats)))
    return Curves(np.array(train), np.array(test))


def network_of(momentum: float = 0.9, unbiased: bool = True) -> MLP:
    """The dense network in JAX."""
    network = MLP(
        nnx.Rngs(0),
        widths=WIDTHS,
        norm="batch",
        dropout=DROPOUT,
        unbiased_running_variance=unbiased,
    )
    for norm in network.norms:
        norm.momentum = momentum
    return network


def same_run(torch_module: torch.nn.Sequential, images: Images, steps: int) -> Run:
    """The run in which every item is as in torch."""
    network = network_of()
    params, batch_stats = from_torch(torch_module.state_dict(), network)
    fall = schedule(steps, jnp)
    optimizer = conventions.torch.rmsprop(
        lambda taken: LEARNING_RATE * fall(taken), ALPHA, EPS, DECAY, MOMENTUM
    )
    order = batches(0, len(images.train), steps)
    return Run(network, params, batch_stats, optimizer, order, jax.random.key(0))
