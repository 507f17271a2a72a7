"""A run of the dense network in a plain loop: the oracle for what the command's options do.

It shares with the command the data, an epoch's order and flax's initial parameters, each of which
has tests of its own. Pixels, schedules, gradients, averages and scores are written out here; the
optimizers are optax's, called outside of jit, on one vector of all parameters: outside of jit each
operation is a program for each shape.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from jaxopt_notes.data import epoch_order
from jaxopt_notes.models import MLP
from jaxopt_notes.training.network import initialised

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": lambda x: jnp.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + jnp.exp(-x)),
    "tanh": jnp.tanh,
    "gelu": lambda x: x * (1 + jax.scipy.special.erf(x / np.sqrt(2))) / 2,
}
Schedule = Callable[[Any], Any]


def constant(peak, steps, warmup=0.0):
    """A straight line from 0 to the peak over the warm-up, then the peak."""
    rising = round(warmup * steps)
    return lambda k: jnp.where(k < rising, peak * k / max(rising, 1), peak)


def cosine(peak, steps, warmup=0.0, start=0.0, end=0.0):
    """A straight line from `start` to the peak over the warm-up, then half a cosine to `end`."""
    rising = round(warmup * steps)

    def rate(k):
        up = start + (peak - start) * k / max(rising, 1)
        down = end + (peak - end) * (1 + jnp.cos(jnp.pi * (k - rising) / (steps - rising))) / 2
        return jnp.where(k < rising, up, down)

    return rate


def one_cycle(peak, steps, warmup=0.25):
    """The cosine from a 25th of the peak to a 10,000th of it."""
    return cosine(peak, steps, warmup, start=peak / 25, end=peak / 1e4)


def _features(activation, params, x, statistics=None):
    """Logits, and each layer's batch mean and variance; normalised by `statistics` if not None."""
    measured = []
    for i, layer in enumerate(params):
        x = x @ layer["kernel"] + layer["bias"]
        if "scale" in layer:
            mean, var = x.mean(0), ((x - x.mean(0)) ** 2).mean(0)
            measured.append((mean, var))
            if statistics is not None:
                mean, var = statistics[i]
            x = (x - mean) / jnp.sqrt(var + 1e-5) * layer["scale"] + layer["offset"]
        if i + 1 < len(params):
            x = ACTIVATIONS[activation](x)
    return x, measured


def _cross_entropy(logits, labels, smoothing=0.0):
    logits = logits - logits.max(1, keepdims=True)
    target = (1 - smoothing) * logits[jnp.arange(len(labels)), labels]
    return jnp.log(jnp.exp(logits).sum(1)) - target - smoothing * logits.mean(1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _gradient(activation, layers, params, x, labels, chosen, smoothing):
    x, labels = x[chosen], labels[chosen]

    def loss(params):
        logits, measured = _features(activation, layers(params), x)
        right = (logits.argmax(1) == labels).sum()
        return _cross_entropy(logits, labels, smoothing).mean(), (right, measured)

    return jax.value_and_grad(loss, has_aux=True)(params)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _score(activation, layers, params, statistics, x, labels):
    logits, _ = _features(activation, layers(params), x, statistics)
    return _cross_entropy(logits, labels).mean(), (logits.argmax(1) == labels).mean()


@functools.cache
def initial_parameters(seed, widths, activation="relu", norm="none"):
    """A list of layers from input to logits, as flax draws them from this seed."""
    network = initialised(
        lambda rngs: MLP(rngs, widths=widths, activation=activation, norm=norm), seed
    )
    params = [
        {"kernel": dense.kernel[...], "bias": dense.bias[...]}
        for dense in (*network.hidden, network.logits)
    ]
    if norm == "batch":
        for layer, width in zip(params, widths):
            layer |= {"scale": jnp.ones(width), "offset": jnp.zeros(width)}
    return params


@functools.cache
def _layers(widths, norm):
    """The function from a vector of all parameters to the list of layers."""
    return ravel_pytree(initial_parameters(0, widths, norm=norm))[1]


def train(
    data,
    optimizer: Callable[[Schedule], optax.GradientTransformation] = optax.adam,
    *,
    learning_rate=0.003,
    schedule: Callable[..., Schedule] = one_cycle,
    epochs=2,
    batch_size=128,
    seed=0,
    widths=(8,),
    activation="relu",
    norm="none",
    ema=None,
    smoothing=0.0,
    order=epoch_order,
):
    """The rows of a run: losses, accuracies and steps under the names that `metrics.jsonl` has."""
    scale = data.train_images / 255.0
    mean, std = scale.mean(), scale.std()

    def pixels(images):
        flat = ((images / 255.0 - mean) / std).reshape(len(images), -1)
        return jnp.asarray(flat, jnp.float32)

    x, labels = pixels(data.train_images), jnp.asarray(data.train_labels)
    x_test, test_labels = pixels(data.test_images), jnp.asarray(data.test_labels)
    steps = len(labels) // batch_size
    layers = _layers(widths, norm)
    params, _ = ravel_pytree(initial_parameters(seed, widths, activation, norm))
    rule = optimizer(schedule(learning_rate, steps * epochs))
    state, average, rows, step = rule.init(params), params, [], 0
    running = [(jnp.zeros(width), jnp.ones(width)) for width in widths] if norm == "batch" else None
    for epoch in range(epochs):
        loss_sum = right = 0.0
        for chosen in order(seed, epoch, len(labels), batch_size):
            (loss, (hits, measured)), g = _gradient(
                activation, layers, params, x, labels, chosen, smoothing
            )
            updates, state = rule.update(g, state, params)
            params, step = optax.apply_updates(params, updates), step + 1
            loss_sum, right = loss_sum + float(loss), right + int(hits)
            if running:
                running = jax.tree.map(lambda r, new: 0.9 * r + 0.1 * new, running, measured)
            if ema is not None:
                beta = min(ema, step / (step + 9))
                average = beta * average + (1 - beta) * params
        row = {"epoch": epoch + 1, "step": step, "train_loss": loss_sum / steps}
        row["train_accuracy"] = right / (steps * batch_size)
        for name, these in (("test", params), ("ema_test", None if ema is None else average)):
            if these is not None:
                loss, accuracy = _score(activation, layers, these, running, x_test, test_labels)
                row |= {f"{name}_loss": float(loss), f"{name}_accuracy": float(accuracy)}
        rows.append(row)
    return rows


def adagrad_outside(rate, initial_accumulator_value=0.1, eps=1e-7):
    """AdaGrad with ε outside the root, which optax does not have: θ ← θ − α g / (√G + ε)."""

    def init(params):
        return jax.tree.map(lambda p: jnp.full_like(p, initial_accumulator_value), params)

    def update(g, total, params=None):
        total = jax.tree.map(lambda G, g: G + g * g, total, g)
        return jax.tree.map(lambda g, G: g / (jnp.sqrt(G) + eps), g, total), total

    rule = optax.GradientTransformation(init, update)
    return optax.chain(rule, optax.scale_by_learning_rate(rate))


def moving_average(rate, beta=0.9, accumulator_dtype=None):
    """The notes' momentum: θ ← θ − α v with v ← β v + (1 − β) g."""
    average = optax.ema(beta, debias=False, accumulator_dtype=accumulator_dtype)
    return optax.chain(average, optax.scale_by_learning_rate(rate))


def adam_then_sgd(
    rate, sgd_rate, switch_step, carry="momentum", momentum=None, accumulator_dtype=None, **adam
):
    """optax's Adam for `switch_step` steps, then the heavy ball; for loops outside of jit.

    "swats" follows Keskar & Socher 2017: λ averages γ / α with γ = pᵀp / −pᵀg, and SGD's learning
    rate is (1 − β) times the debiased λ times α.
    """
    first = optax.adam(rate, **adam)
    beta = adam.get("b1", 0.9) if momentum is None else momentum
    b2 = adam.get("b2", 0.999)

    def init(params):
        return (
            0,
            first.init(params),
            optax.trace(beta, accumulator_dtype=accumulator_dtype).init(params),
            0.0,
        )

    def update(g, state, params=None):
        k, inner, velocity, average = state
        if k < switch_step:
            p, inner = first.update(g, inner, params)
            gamma = optax.tree.vdot(p, p) / -optax.tree.vdot(p, g)
            average = b2 * average + (1 - b2) * gamma / rate(k)
            if k + 1 == switch_step and carry == "momentum":
                start = jax.tree.map(lambda m: m / (1 - beta), inner[0].mu)
                dtype = accumulator_dtype
                start = jax.tree.map(lambda v: v.astype(dtype or jnp.float32), start)
                velocity = velocity._replace(trace=start)
            return p, (k + 1, inner, velocity, average)
        ball = optax.trace(beta, accumulator_dtype=accumulator_dtype)
        v, velocity = ball.update(g, velocity)
        if carry == "swats":
            size = (1 - beta) * average / (1 - b2**switch_step) * rate(k)
        else:
            size = sgd_rate(k)
        return jax.tree.map(lambda v: -size * v, v), (k + 1, inner, velocity, average)

    return optax.GradientTransformation(init, update)
