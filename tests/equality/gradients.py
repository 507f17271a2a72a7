"""Trees of parameters, and the most awkward gradients for them."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.verification.problem import awkward

STEPS = 100


def _values(dtype: Any, steps: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Real gradients for one leaf: the proof's, and values that only equal programs treat alike.

    Both zeros, the smallest and the largest numbers of the dtype, infinities and a NaN.
    """
    x = awkward(steps, size, rng)
    limits = jnp.finfo(dtype)
    low = max(-30.0, math.log10(limits.tiny))
    high = min(30.0, math.log10(limits.max) - 1)
    sign = np.where(np.arange(steps) % 2, 1.0, -1.0)
    normal = rng.normal(size=steps)
    extremes: dict[int, np.ndarray] = {
        4: sign * 0.0,
        5: sign * 3 * float(limits.smallest_subnormal),
        6: normal * 10**low,
        7: normal * 10**high,
        8: normal * 10 ** rng.uniform(low, high, steps),
        9: np.where(np.arange(steps) == 41, math.inf, normal),
        10: np.where(np.isin(np.arange(steps), (3, 61)), -math.inf, normal),
        11: np.where(np.arange(steps) == 31, math.nan, 0.1 * normal),
        12: 0.5 * sign,
        13: 10 ** (high / 2) * normal,
    }
    for place, values in extremes.items():
        x[:, place::16] = values[:, None]
    return x


def _gradients(parameter: jax.Array, steps: int, rng: np.random.Generator) -> list[jax.Array]:
    real = jnp.finfo(parameter.dtype).dtype
    x = _values(real, steps, parameter.size, rng)
    if jnp.iscomplexobj(parameter):
        with np.errstate(invalid="ignore"):
            x = x + 1j * np.roll(_values(real, steps, parameter.size, rng), 1, axis=1)
    with np.errstate(over="ignore"):
        x = x.reshape(steps, *parameter.shape).astype(parameter.dtype)
    return [jnp.asarray(float(g)) if parameter.weak_type else jax.device_put(g) for g in x]


def gradients_for(params: Any, steps: int = STEPS, seed: int = 0) -> list[Any]:
    """A gradient tree for each step."""
    rng = np.random.default_rng(seed)
    leaves, tree = jax.tree.flatten(params)
    columns = [_gradients(p, steps, rng) for p in leaves]
    return [tree.unflatten([column[step] for column in columns]) for step in range(steps)]


def parameters(*shape: int, dtype: Any = jnp.float32) -> jax.Array:
    """A leaf of that shape, with other numbers in every element."""
    x = np.linspace(-2.0, 3.0, math.prod(shape)).reshape(shape)
    x = x * (1 - 0.5j) if jnp.issubdtype(dtype, np.complexfloating) else x
    return jax.device_put(x.astype(dtype))


def _mixed() -> Any:
    return {
        "float32": parameters(16),
        "half": (parameters(16, dtype=jnp.bfloat16), []),
        "complex": parameters(16, dtype=jnp.complex64),
        "nothing": None,
        "weak": {"scalar": jnp.asarray(-0.3)},
    }


def _many() -> Any:
    return _alike() | {"head": parameters(4, 8)}


def _many_kinds() -> Any:
    return _many() | {"half": parameters(2, 8, dtype=jnp.float16), "empty": parameters(0, 3)}


def _alike() -> Any:
    return {f"layer {i}": parameters(16) for i in range(2)}


def _x64() -> Any:
    return {
        "float64": parameters(16, dtype=jnp.float64),
        "complex128": parameters(16, dtype=jnp.complex128),
    }


TREES: dict[str, Callable[[], Any]] = {
    "mixed": _mixed,  # each shape and dtype takes programs of its own
    "x64": _x64,
    "many": _many,
    "many kinds": _many_kinds,
    "alike": _alike,
    "single": lambda: {"single": parameters(64)},
    "empty": dict,
}


@functools.cache
def tree_and_gradients(name: str, real: bool = False) -> tuple[Any, list[Any]]:
    """The parameters of that name, without their complex leaves if real, and their gradients."""
    with precision(name):
        params = TREES[name]()
        if real:
            params = {
                key: leaf
                for key, leaf in params.items()
                if not any(map(jnp.iscomplexobj, jax.tree.leaves(leaf)))
            }
        return params, gradients_for(params)


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Double precision for the tree that needs it, single for the others."""
    with jax.enable_x64(name == "x64"):
        yield
