"""Steps a torch run and a transformation side by side and measures their distance."""

from collections.abc import Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes.conventions.arrangement import Arrangement, arrange_by
from jaxopt_notes.transfer.run_proof.torch_twin import Twin

# A step's error is relative to the element's largest recent step, which decays at this rate.
# Otherwise a step that is small by chance between two large ones would count their rounding.
_FORGET = 0.9


class Readings(NamedTuple):
    """How far one step moved each leaf away from torch: each (leaves,), see `verdict.Drift`."""

    step: np.ndarray
    way: np.ndarray
    share: np.ndarray


class Course(NamedTuple):
    """Both sides after some steps.

    Attributes:
      twin: torch's side, which steps in place.
      state: the transformation's state, when each step starts from torch's parameters.
      free: parameters and state of the transformation's independent run.
      sizes: the largest value of each element so far, by leaf.
      strides: the size of each element's steps, by leaf.
    """

    twin: Twin
    state: Any
    free: tuple[Any, Any]
    sizes: list[np.ndarray]
    strides: list[np.ndarray]


def begin(twin: Twin, arrange: Arrangement, state: Any) -> Course:
    """The course from torch's current state."""
    with bits(twin):
        params = arrange_by(arrange, twin.values())
        leaves = [np.abs(np.asarray(x, np.float64)) for x in jax.tree.leaves(params)]
        strides = [np.zeros_like(x) for x in leaves]
        return Course(twin, state, (jax.tree.map(np.array, params), state), leaves, strides)


def advance(
    course: Course,
    optimizer: optax.GradientTransformation,
    arrange: Arrangement,
    there: Mapping[Hashable, np.ndarray | None],
    here: Any,
) -> tuple[Course, Readings]:
    """One step of both sides with the same gradients.

    Args:
      course: the current state of both.
      optimizer: the transformation.
      arrange: the arrangement of torch's parameters.
      there: the gradients, by torch's names.
      here: the gradients, as a tree.
    """
    before = course.twin.values()
    cast = {
        name: None if g is None else np.asarray(g).astype(before[name].dtype)
        for name, g in there.items()
    }
    course.twin.step(cast)
    with bits(course.twin):
        stood, target = (arrange_by(arrange, x) for x in (before, course.twin.values()))
        g = jax.tree.map(lambda x, p: np.asarray(x).astype(p.dtype), here, stood)
        moved, state = _take(optimizer, stood, course.state, g)
        free = _take(optimizer, *course.free, g)
    sizes, strides, rows = [], [], []
    trees = (stood, target, moved, free[0])
    for i, leaves in enumerate(zip(*map(jax.tree.leaves, trees))):
        eps = float(jnp.finfo(leaves[1].dtype).eps)
        stood_at, right, ours, alone = (np.asarray(x, np.float64) for x in leaves)
        size = np.maximum(course.sizes[i], np.abs(right))
        stride = np.maximum(np.abs(right - stood_at), _FORGET * course.strides[i])
        off, unit = _gap(ours, right), eps * size
        rounding = 2 * np.finfo(np.float64).eps * size
        with np.errstate(divide="ignore", invalid="ignore"):
            way, share = _gap(alone, right) / unit, np.maximum(off - rounding, 0.0) / stride
            shares = (off / unit, way, share)
        rows.append([_worst(share) for share in shares])
        sizes.append(size)
        strides.append(stride)
    readings = Readings(*np.array(rows).T)
    return Course(course.twin, state, free, sizes, strides), readings


def in_float64(state: Any) -> Any:
    """The state with its floating-point leaves in float64.

    The numbers of `optax.inject_hyperparams` become the user's numbers: the shortest decimal of
    float32's 0.9 is 0.9.
    """

    def widened(path: Any, x: Any) -> Any:
        if not jnp.issubdtype(jnp.result_type(x), jnp.floating):
            return x
        if any(getattr(key, "name", "") == "hyperparams" for key in path) and np.ndim(x) == 0:
            return jnp.asarray(float(str(np.asarray(x))), jnp.float64)
        return jnp.asarray(x, jnp.float64)

    with jax.enable_x64(True):
        return jax.tree_util.tree_map_with_path(widened, state)


def bits(twin: Twin) -> AbstractContextManager[Any]:
    """Enables 64 bits if torch's parameters have them; otherwise keeps the caller's setting."""
    wide = any("float64" in str(p.dtype) for p in twin.parameters.values())
    return jax.enable_x64(True) if wide else nullcontext()


@partial(jax.jit, static_argnums=0)
def _take(optimizer: optax.GradientTransformation, params: Any, state: Any, gradients: Any) -> Any:
    updates, state = optimizer.update(gradients, state, params)
    return optax.apply_updates(params, updates), state


def _gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a − b|; 0 where both are equal infinities, or both NaN."""
    with np.errstate(invalid="ignore"):
        off = np.nan_to_num(np.abs(a - b), nan=np.inf, posinf=np.inf)
    return np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, off)


def _worst(share: np.ndarray) -> float:
    """The largest quotient; 0/0 counts as 0."""
    return float(np.nan_to_num(share, nan=0.0, posinf=np.inf).max(initial=0.0))
