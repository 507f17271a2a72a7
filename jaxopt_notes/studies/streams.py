"""Streams whose target moves: quadratics with a moving centre, and digits for a network.

A learner meets each item of a stream once: first its cost is taken, then the optimizer takes a
step. Many learners (a learning rate, β1, β2 and a stream each) go side by side in one compiled
scan.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax

from jaxopt_notes.conventions import notes
from jaxopt_notes.data import load
from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.models import MLP, PureModel, pure
from jaxopt_notes.models.pooling import average_pool_2x2

SIDE = 14  # pixels of a digit's side in a stream
EXPLORES = 0.1  # share of a bandit's choices that are random

# gradient(θ, item) -> (g, cost at θ)
Gradient = Callable[[Any, Any], tuple[Any, jax.Array]]
Make = Callable[[Any, Any, Any], optax.GradientTransformation]

# Of (learning rate, β1, β2); Adam alone has the last two.
OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda rate, *_: notes.sgd(rate),
    "momentum": lambda rate, *_: notes.momentum(rate),
    "adagrad": lambda rate, *_: notes.adagrad(rate),
    "rmsprop": lambda rate, *_: notes.rmsprop(rate),
    "adam": notes.adam,
}


class Task(NamedTuple):
    """A learner's start on each stream, what it meets there, and its gradients.

    Attributes:
      start: parameters, each leaf (streams, …).
      items: what comes at each step, each leaf (steps, streams, …).
      gradient: of one learner at one item.
    """

    start: Any
    items: Any
    gradient: Gradient


class Learners(NamedTuple):
    """Learners side by side, (n,) each: learning rate, β1, β2, and which stream."""

    rate: np.ndarray
    b1: np.ndarray
    b2: np.ndarray
    stream: np.ndarray


def followed(name: str, task: Task, learners: Learners, at_once: int) -> np.ndarray:
    """Each learner's cost at each step, before it moved: (n, steps).

    Args:
      name: one of OPTIMIZERS.
      task: the streams.
      learners: how many there are does not matter.
      at_once: learners in one scan; the last scan is filled up, so that all are one program.
    """
    n = len(learners.rate)
    filled = [np.resize(each, -(-n // at_once) * at_once) for each in learners]
    costs = []
    for first in range(0, n, at_once):
        *floats, stream = (each[first : first + at_once] for each in filled)
        hyper = [jnp.asarray(each, jnp.float32) for each in floats]
        costs.append(_scan(name, task.gradient)(task.start, task.items, stream, *hyper))
    return np.concatenate([np.asarray(each).T for each in costs])[:n]


@cache
def _scan(name: str, gradient: Gradient) -> Any:
    def begin(start: Any, stream: Any, *hyper: Any) -> Any:
        theta = jax.tree.map(lambda leaf: leaf[stream], start)
        return theta, OPTIMIZERS[name](*hyper).init(theta)

    def one(carry: Any, items: Any, stream: Any, *hyper: Any) -> Any:
        theta, state = carry
        g, cost = gradient(theta, jax.tree.map(lambda leaf: leaf[stream], items))
        updates, state = OPTIMIZERS[name](*hyper).update(g, state, theta)
        return (optax.apply_updates(theta, updates), state), cost

    def scan(start: Any, items: Any, *learners: Any) -> jax.Array:
        many = jax.vmap(one, (0, None, 0, 0, 0, 0))
        begun = jax.vmap(begin, (None, 0, 0, 0, 0))(start, *learners)
        return lax.scan(lambda carry, items: many(carry, items, *learners), begun, items)[1]

    return jax.jit(scan)


def centre(scene: str, streams: int, setting: Mapping[str, Any]) -> Task:
    """A noisy quadratic whose centre drifts or jumps, or drifts while gradients change their scale.

    The cost is the squared distance to the centre, a mean over the parameters.

    Args:
      scene: "drift", "jumps" or "scales".
      streams: how many, each with a path and noise of its own.
      setting: steps, parameters, largest_curvature, noise, drift, jump, stretch, scale.
    """
    steps, size, stretch = setting["steps"], setting["parameters"], setting["stretch"]
    centres, noise = [], []
    for stream in range(streams):
        rng = np.random.default_rng(stream)
        moves = rng.normal(size=(steps, size))
        jumps = setting["jump"] * moves[np.arange(steps) // stretch]
        centres.append(jumps if scene == "jumps" else setting["drift"] * moves.cumsum(0))
        noise.append(setting["noise"] * rng.normal(size=(steps, size)))
    large = (np.arange(steps) // stretch % 2 == 1) & (scene == "scales")
    scale = np.repeat(np.where(large, setting["scale"], 1.0)[:, None], streams, 1)
    items = [jnp.asarray(x, jnp.float32) for x in (np.stack(centres, 1), np.stack(noise, 1), scale)]
    gradient = _quadratic(size, setting["largest_curvature"])
    return Task(jnp.zeros((streams, size)), items, gradient)


@cache
def _quadratic(size: int, largest: float) -> Gradient:
    h = jnp.geomspace(1.0, largest, size)

    def gradient(x: jax.Array, item: Any) -> Any:
        c, noise, scale = item
        return scale * (h * (x - c) + noise), ((x - c) ** 2).mean()

    return gradient


def digits(scene: str, streams: int, setting: Mapping[str, Any]) -> Task:
    """MNIST's digits, a few at a step, for a dense network; what is right changes.

    The cost is the share of a step's images that the network gets wrong.

    Args:
      scene: "labels": every stretch permutes the labels anew. "rotation": the images turn.
        "contrast": they turn, and are dark in every second stretch. "bandit": labels are permuted,
        and the network learns only whether its choice was right.
      streams: how many, each with images, changes and a network of its own.
      setting: steps, batch, stretch, turns, dark, widths.
    """
    each = [_stream(scene, seed, setting) for seed in range(streams)]
    models = _networks(streams, tuple(setting["widths"]))
    keys = jax.vmap(lambda seed: jax.random.split(jax.random.key(seed), setting["steps"]))
    items = (
        *(jnp.asarray(np.stack(x, 1)) for x in zip(*each)),
        keys(jnp.arange(streams)).T,
    )
    start = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(model.params for model in models))
    return Task(start, items, _classifier(models[0].apply, scene == "bandit"))


@cache
def _networks(streams: int, widths: tuple[int, ...]) -> list[PureModel]:
    """Each stream's network at its start; scenes that share them share compiled programs."""
    shape = (SIDE, SIDE, 1)
    return [pure(MLP(nnx.Rngs(s), image_shape=shape, widths=widths)) for s in range(streams)]


@cache
def _classifier(apply: Callable[..., Any], bandit: bool) -> Gradient:
    def loss(params: Any, item: Any) -> Any:
        x, y, key = item
        z = apply(params, {}, x)[0]
        wrong = (z.argmax(-1) != y).mean()
        if not bandit:
            return cross_entropy(z, y).mean(), wrong
        explore, any_class = jax.random.split(key)
        random = jax.random.randint(any_class, y.shape, 0, z.shape[-1])
        choice = jnp.where(jax.random.uniform(explore, y.shape) < EXPLORES, random, z.argmax(-1))
        worth = jnp.take_along_axis(z, choice[:, None], -1)[:, 0]
        return 0.5 * ((worth - (choice == y)) ** 2).mean(), wrong

    return jax.grad(loss, has_aux=True)


def _stream(scene: str, seed: int, setting: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Images (steps, batch, 14, 14, 1) from 0 to 1, and labels (steps, batch), of one stream."""
    images, labels = _halved()
    rng, steps = np.random.default_rng(seed), setting["steps"]
    rows = rng.integers(len(labels), size=(steps, setting["batch"]))
    x, y, stretch = images[rows], labels[rows], np.arange(steps) // setting["stretch"]
    if scene in ("labels", "bandit"):
        orders = np.stack([rng.permutation(10) for _ in range(stretch[-1] + 1)])
        return x, orders[stretch[:, None], y]
    angle = 2 * np.pi * (rng.uniform() + setting["turns"] * np.arange(steps) / steps)
    x = np.asarray(turned(jnp.asarray(x), jnp.asarray(angle, jnp.float32)))
    dark = (stretch % 2 == 1) & (scene == "contrast")
    return x * np.where(dark, setting["dark"], 1).astype(x.dtype)[:, None, None, None, None], y


@cache
def _halved() -> tuple[np.ndarray, np.ndarray]:
    """mnist-12k's training images at half their size, and their labels."""
    data = load("mnist-12k")
    images = jnp.asarray(data.train_images / np.float32(255))
    return np.asarray(average_pool_2x2(images)), data.train_labels


@jax.jit
def turned(images: jax.Array, angle: jax.Array) -> jax.Array:
    """Images (steps, batch, side, side, 1) turned by each step's angle (steps,), about the middle.

    A quarter turn moves the first row to the last column:

    >>> image = jnp.arange(4.0).reshape(1, 1, 2, 2, 1)
    >>> print(turned(image, jnp.array([jnp.pi / 2]))[0, 0, :, :, 0].round(2))
    [[2. 0.]
     [3. 1.]]
    """
    side = images.shape[2]
    at = jnp.arange(side) - (side - 1) / 2
    row, column = jnp.meshgrid(at, at, indexing="ij")

    def of_step(images: jax.Array, angle: jax.Array) -> jax.Array:
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        source = [cos * row - sin * column, sin * row + cos * column]
        places = [x + (side - 1) / 2 for x in source]
        look = partial(jax.scipy.ndimage.map_coordinates, coordinates=places, order=1)
        return jax.vmap(lambda image: look(image[..., 0])[..., None])(images)

    return jax.vmap(of_step)(images, angle)
