"""One run for all frameworks: gradients that trigger every trap, and the distance of two runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

Path = dict[str, np.ndarray]  # θ after each step: (steps, *shape), by the parameter's name

SHAPES = {"weight": (3, 8), "bias": (12,)}


def gradients(steps: int, dtype: str = "float64") -> Path:
    """A gradient for each step. They do not depend on θ, so no later gradient corrects an error."""
    random = np.random.default_rng(0)
    return {
        name: awkward(steps, int(np.prod(shape)), random).reshape(steps, *shape).astype(dtype)
        for name, shape in SHAPES.items()
    }


def awkward(steps: int, size: int, random: np.random.Generator) -> np.ndarray:
    """(steps, size) float64 gradients that trigger every trap: sizes from 1e-9 to 1e3, with zeros.

    The second element always has gradient 0, the third in the first quarter, and the fourth in the
    second half.
    """
    g = random.normal(0.3, 1.0, (steps, size)) * np.logspace(-9, 3, size)
    g[random.random((steps, size)) < 0.1] = 0.0
    g[:, 1:2] = 0.0
    g[: steps // 4, 2:3] = 0.0
    g[steps // 2 :, 3:4] = 0.0
    return g


def start(dtype: str = "float64") -> dict[str, np.ndarray]:
    """θ_0: weights of sizes from 1e-6 to 10, and biases of 0, which show every bit of a step."""
    size = int(np.prod(SHAPES["weight"]))
    weight = np.random.default_rng(1).normal(size=size) * np.logspace(-6, 1, size)
    at = {"weight": weight.reshape(SHAPES["weight"]), "bias": np.zeros(SHAPES["bias"])}
    return {name: theta.astype(dtype) for name, theta in at.items()}


def rates(steps: int) -> np.ndarray:
    """A learning rate for each step; it rises, falls and jumps."""
    k = np.arange(steps)
    return 0.02 * (1 + np.sin(k / 9)) * 0.99**k + np.where(k % 50 == 30, 0.05, 0.001)


def schedule(steps: int) -> Callable[[Any], jax.Array]:
    """`rates` as a schedule, whose values are rounded once and not computed in float32."""
    table = rates(steps)
    return lambda count: jnp.asarray(table)[count]


def path(
    optimizer: optax.GradientTransformation,
    steps: int,
    dtype: str = "float64",
    *,
    jit: bool = True,
    params: Any = None,
    state: Any = None,
    first: int = 0,
) -> Path:
    """The path of a transformation from θ_0, or from `params` and `state` at step `first`."""
    with jax.enable_x64(dtype == "float64"):
        at = start(dtype) if params is None else params
        theta = {name: jnp.asarray(p) for name, p in at.items()}
        state = optimizer.init(theta) if state is None else state
        gs = gradients(steps, dtype)  # NumPy slices them faster than JAX
        take = _step(optimizer, jit)
        seen = []
        for k in range(first, steps):
            theta, state = take(theta, state, {name: jnp.asarray(g[k]) for name, g in gs.items()})
            seen.append(theta)
        return {name: np.stack([np.asarray(at[name]) for at in seen]) for name in theta}


def each_step(
    optimizer: optax.GradientTransformation,
    there: Path,
    dtype: str,
    *,
    jit: bool = True,
    states: Sequence[Any] = (),
) -> Path:
    """θ after each step of a transformation from the source's previous θ: errors do not accumulate.

    Args:
      optimizer: the transformation.
      there: the source's path.
      dtype: the parameters' dtype.
      jit: compile the step.
      states: the source's state after each step. Without them the transformation keeps its own
        state, built from the same gradients.
    """
    steps = len(next(iter(there.values())))
    with jax.enable_x64(dtype == "float64"):
        gs = gradients(steps, dtype)
        before = {
            name: np.concatenate([at[None], there[name][:-1].astype(dtype)])
            for name, at in start(dtype).items()
        }
        take = _step(optimizer, jit)
        state = optimizer.init({name: jnp.asarray(at[0]) for name, at in before.items()})
        seen = []
        for k in range(steps):
            state = states[k - 1] if k and states else state
            theta, g = ({name: jnp.asarray(x[k]) for name, x in of.items()} for of in (before, gs))
            theta, state = take(theta, state, g)
            seen.append(theta)
        return {name: np.stack([np.asarray(at[name]) for at in seen]) for name in there}


def _step(optimizer: optax.GradientTransformation, jit: bool) -> Callable[..., Any]:
    def step(theta: Any, state: Any, g: Any) -> Any:
        updates, state = optimizer.update(g, state, theta)
        return optax.apply_updates(theta, updates), state

    return jax.jit(step) if jit else step


def ulps(ours: Mapping[str, np.ndarray], oracle: Mapping[str, np.ndarray], dtype: str) -> float:
    """The largest difference of an element, in units in the last place of its largest value so far.

    The largest value includes the start: a rounding error has the size of the element when it is
    rounded, and keeps that size when the element returns to 0. A unit is the dtype's eps times the
    largest value. The result is infinite if either path is not finite.
    """
    worst = 0.0
    for name, there in oracle.items():
        x, y = np.asarray(ours[name], np.float64), np.asarray(there, np.float64)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return np.inf
        size = np.maximum.accumulate(np.maximum(np.abs(y), np.abs(start(dtype)[name])), axis=0)
        unit = float(jnp.finfo(dtype).eps) * size
        gap = np.abs(x - y)
        worst = max(worst, float((gap / np.where(unit > 0, unit, np.finfo(float).tiny)).max()))
    return worst


def apart(ours: Mapping[str, np.ndarray], oracle: Mapping[str, np.ndarray], dtype: str) -> float:
    """The largest difference of an element, relative to the distance that it travelled.

    Two roundings of θ itself per hundred steps do not count, because an element of size 10 that
    moves by 1e-9 cannot show its path more exactly.
    """
    worst = 0.0
    for name, there in oracle.items():
        x, y = np.asarray(ours[name], np.float64), np.asarray(there, np.float64)
        way = np.abs(y - start(dtype)[name]).max(axis=0)
        rounding = float(jnp.finfo(dtype).eps) * np.abs(y).max(axis=0) * len(y) / 50
        gap = np.maximum(np.abs(x - y).max(axis=0) - rounding, 0)
        worst = max(worst, float((gap / np.where(way > 0, way, 1.0)).max()))
    return worst
