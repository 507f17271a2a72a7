"""Trees of parameters, and gradients that are as awkward for them as gradients get."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

STEPS = 100


def _values(dtype: Any, size: int, rng: np.random.Generator, step: int) -> np.ndarray:
    """Real numbers for one leaf at one step; a kind of trouble an element, by its index."""
    limits = jnp.finfo(dtype)
    low, high = (max(-30.0, math.log10(limits.tiny)), min(30.0, math.log10(limits.max) - 1))
    normal, sign = rng.normal(size=size), 1 if step % 2 else -1
    kinds: list[Callable[[float], float]] = [
        lambda x: x,
        lambda x: 0.5 * sign,
        lambda x: 1e-4 * x,
        lambda x: x * 10 ** rng.uniform(low, high),
        lambda x: 0.0,
        lambda x: -0.0 if sign > 0 else 0.0,
        lambda x: sign * 3 * float(limits.smallest_subnormal),
        lambda x: x * 10**low,
        lambda x: x * 10**high,
        lambda x: x if step % 10 == 3 else 0.0,
        lambda x: 1e-8 * x,
        lambda x: math.inf if step == 41 else x,
        lambda x: -math.inf if step in (3, 61) else -x,
        lambda x: math.nan if step == 31 else 0.1 * x,
        lambda x: 10 ** (high / 2) * x,
        lambda x: 1e-2 * abs(x),
    ]
    return np.array([kinds[i % len(kinds)](x) for i, x in enumerate(normal)])


def _gradient(parameter: jax.Array, rng: np.random.Generator, step: int) -> jax.Array:
    real = jnp.finfo(parameter.dtype).dtype
    x = _values(real, parameter.size, rng, step)
    if jnp.iscomplexobj(parameter):
        with np.errstate(invalid="ignore"):
            x = x + 1j * np.roll(_values(real, parameter.size, rng, step), 1)
    with np.errstate(over="ignore"):
        x = x.reshape(parameter.shape).astype(parameter.dtype)
    return jnp.asarray(float(x)) if parameter.weak_type else jnp.asarray(x)


def gradients_for(params: Any, steps: int = STEPS, seed: int = 0) -> list[Any]:
    """A gradient tree for each step."""
    rng = np.random.default_rng(seed)
    return [
        jax.tree.map(lambda p, step=step: _gradient(p, rng, step), params) for step in range(steps)
    ]


def parameters(*shape: int, dtype: Any = jnp.float32) -> jax.Array:
    """A leaf of that shape, with other numbers in every element."""
    x = np.linspace(-2.0, 3.0, math.prod(shape)).reshape(shape)
    return jnp.asarray(x * (1 - 0.5j) if jnp.issubdtype(dtype, np.complexfloating) else x, dtype)


def _mixed() -> Any:
    return {
        "float32": parameters(16),
        "half": (parameters(16, dtype=jnp.bfloat16), [parameters(2, 8, dtype=jnp.float16)]),
        "complex": parameters(16, dtype=jnp.complex64),
        "nothing": None,
        "empty": parameters(0, 3),
        "weak": {"scalar": jnp.asarray(-0.3)},
    }


def _many() -> Any:
    return {f"layer {i}": parameters(16) for i in range(2)} | {"head": parameters(4, 8)}


def _x64() -> Any:
    return {
        "float64": parameters(16, dtype=jnp.float64),
        "complex128": parameters(16, dtype=jnp.complex128),
    }


TREES: dict[str, Callable[[], Any]] = {
    "mixed": _mixed,
    "x64": _x64,
    "many": _many,
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
