"""One run for all books: gradients that tempt every trap, and how far two runs are apart."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

STEPS = 200
SHAPES = {"weight": (3, 8), "bias": (5,)}


def awkward_gradients(steps: int = STEPS, seed: int = 0) -> dict[str, np.ndarray]:
    """A gradient for each step: sizes from 1e-9 to 1e3, zeros first, last, always and in between."""
    random = np.random.default_rng(seed)
    out = {}
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        scale = np.logspace(-9, 3, size)
        g = random.normal(0.3, 1.0, (steps, size)) * scale
        g[:, 1] = 0.0
        g[: steps // 4, 2] = 0.0
        g[steps // 2 :, 3] = 0.0
        g[random.random((steps, size)) < 0.1] = 0.0
        out[name] = g.reshape(steps, *shape)
    return out


def start(seed: int = 1) -> dict[str, np.ndarray]:
    """Parameters of sizes from 1e-6 to 10, one of them 0."""
    random = np.random.default_rng(seed)
    out = {}
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        theta = random.normal(size=size) * np.logspace(-6, 1, size)
        theta[0] = 0.0
        out[name] = theta.reshape(shape)
    return out


def run(
    optimizer: optax.GradientTransformation,
    dtype: str,
    gradients: dict[str, np.ndarray] | None = None,
    params: Any = None,
    state: Any = None,
) -> tuple[dict[str, np.ndarray], Any]:
    """θ after each step, and the last state; float64 with x64 on."""
    gradients = awkward_gradients() if gradients is None else gradients
    with jax.enable_x64(dtype == "float64"):
        gs = {name: np.asarray(g, dtype) for name, g in gradients.items()}
        theta = jax.tree.map(lambda p: jax.numpy.asarray(p, dtype), params or start())
        state = optimizer.init(theta) if state is None else state

        def step(carry: Any, g: Any) -> Any:
            theta, state = carry
            updates, state = optimizer.update(g, state, theta)
            theta = optax.apply_updates(theta, updates)
            return (theta, state), theta

        (_, state), path = jax.jit(lambda c, g: jax.lax.scan(step, c, g))((theta, state), gs)
        return jax.tree.map(np.asarray, path), state


def apart(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """The largest difference of an element, relative to the way it went and its own rounding.

    1 would be the whole way. The denominator is the largest distance from the start that the element
    reached, and one rounding of its value for each step, in units of the dtype's precision over
    1e-12: where an element hardly moves, only its own rounding can be asked for.
    """
    worst = 0.0
    for name, path in theirs.items():
        x, y = ours[name].astype(np.float64), path.astype(np.float64)
        assert np.isfinite(y).all(), name
        way = np.abs(y - np.asarray(start()[name], path.dtype)).max(axis=0)
        rounding = np.finfo(path.dtype).eps * np.abs(y).max(axis=0)
        gap = np.maximum(np.abs(x - y).max(axis=0) - 4 * rounding, 0)
        worst = max(worst, float((gap / np.where(way > 0, way, 1)).max()))
        assert np.isfinite(x).all(), name
    return worst


def ulps(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """The largest difference of an element, in units in the last place of the largest it was."""
    worst = 0.0
    for name, path in theirs.items():
        unit = np.finfo(path.dtype).eps * np.abs(path).max(axis=0)
        gap = np.abs(ours[name].astype(np.float64) - path.astype(np.float64)).max(axis=0)
        worst = max(worst, float((gap / np.where(unit > 0, unit, 1)).max()))
    return worst


def in_numpy(
    step: Callable[..., tuple[np.ndarray, Any]], gradients: dict[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """The path of `step(t, g, theta, memory) -> theta, memory`, float64, leaf by leaf."""
    out = {}
    for name, gs in (awkward_gradients() if gradients is None else gradients).items():
        theta, memory, path = start()[name], None, []
        for t, g in enumerate(gs, start=1):
            theta, memory = step(t, g, theta, memory)
            path.append(theta)
        out[name] = np.stack(path)
    return out
