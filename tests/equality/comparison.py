"""What "equal" means here: bit for bit, or within units in the last place."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax


def run(
    optimizer: optax.GradientTransformation, params: Any, gradients: list[Any], state: Any = None
) -> Iterator[tuple[Any, Any, Any]]:
    """Steps outside jit, from the given state or a new one: (updates, params, state) after each."""
    state = optimizer.init(params) if state is None else state
    for g in gradients:
        updates, state = optimizer.update(g, state, params)
        params = optax.apply_updates(params, updates)
        yield updates, params, state


def _is_none(x: Any) -> bool:
    return x is None


def assert_same_kind(ours: Any, reference: Any) -> None:
    """The same tree of the same classes, and at each leaf the same shape, dtype and weak type."""
    assert jax.tree.structure(ours, is_leaf=_is_none) == jax.tree.structure(
        reference, is_leaf=_is_none
    )
    for (path, a), b in zip(
        jax.tree.leaves_with_path(ours), jax.tree.leaves(reference), strict=True
    ):
        where = f"{jax.tree_util.keystr(path)}: {jax.typeof(a)}, {jax.typeof(b)}"
        assert jax.typeof(a) == jax.typeof(b), where
        assert jnp.asarray(a).weak_type == jnp.asarray(b).weak_type, where


def _numbers_and_bits(leaf: Any) -> tuple[np.ndarray, np.ndarray]:
    x = np.atleast_1d(np.asarray(leaf))
    if np.iscomplexobj(x):
        x = x.view(x.real.dtype)
    return x, x.view(f"i{x.itemsize}")


def assert_same_bits(ours: Any, reference: Any) -> None:
    """The same bits in every leaf: −0 is not 0. Any NaN equals any other."""
    for (path, a), b in zip(
        jax.tree.leaves_with_path(ours), jax.tree.leaves(reference), strict=True
    ):
        x, x_bits = _numbers_and_bits(a)
        y, y_bits = _numbers_and_bits(b)
        differ = x_bits != y_bits
        if differ.any():
            differ &= ~((x != x) & (y != y))
        assert not differ.any(), (
            f"{jax.tree_util.keystr(path)}: {x[differ][:3]} is not {y[differ][:3]}"
        )


def ulps_apart(ours: Any, reference: Any) -> int:
    """The largest distance of two elements, counted in floating-point numbers between them."""

    def place(bits: np.ndarray) -> np.ndarray:
        wide = bits.astype(np.int64)
        return np.where(wide < 0, np.iinfo(bits.dtype).min - wide, wide)

    farthest = 0
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(reference), strict=True):
        x, x_bits = _numbers_and_bits(a)
        y, y_bits = _numbers_and_bits(b)
        assert ((x != x) == (y != y)).all()
        apart = np.where(x != x, 0, abs(place(x_bits) - place(y_bits)))
        farthest = max(farthest, int(apart.max(initial=0)))
    return farthest


def assert_same_path(
    ours: optax.GradientTransformation,
    reference: optax.GradientTransformation,
    params: Any,
    gradients: list[Any],
) -> None:
    """Outside jit, both take the same steps and have the same states, to the last bit."""
    state, other_state = ours.init(params), reference.init(params)
    assert_same_kind(state, other_state)
    assert_same_bits(state, other_state)
    walks = zip(run(ours, params, gradients), run(reference, params, gradients), strict=True)
    for step, (here, there) in enumerate(walks, 1):
        if len(gradients) < 20 or step <= 4 or step % 10 == 2 or step == len(gradients):
            assert_same_kind(here, there)
            assert_same_bits(here, there)
