"""The gradients of each step of `prove`: random, from the user, or from the user's losses."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.conventions.arrangement import Arrangement, arrange_by
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer.run_proof.courses import bits
from jaxopt_notes.transfer.run_proof.torch_twin import Arrays, Twin

Gradients = Callable[[int], Mapping[Hashable, Any]]
# (torch_loss(module, batch), jax_loss(params, batch))
Losses = tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]


class Pair(NamedTuple):
    """The gradients of one step.

    Attributes:
      there: the gradients by torch's names; None where torch has none.
      here: the gradients as a tree.
      apart: the distance of the two sides' own gradients, relative to the largest element
        (leaves,); empty if both sides got the gradients from outside.
    """

    there: Mapping[Hashable, np.ndarray | None]
    here: Any
    apart: np.ndarray


def drawn(values: Arrays) -> Gradients:
    """Random gradients from 1e-9 to 1e3 for each step that trigger the known traps.

    At each step a tenth of the elements is 0, and a few elements are 0 at all steps: their moments
    fade, which shows everything else that moves a parameter. The first element of each parameter is
    about 1 at all steps, so the smallest parameter moves too.
    """
    top = 0.0 if any(array.dtype == np.float16 for array in values.values()) else 3.0
    sizes = {}
    for i, (name, array) in enumerate(values.items()):
        random = np.random.default_rng([0, i])
        spread = 10.0 ** random.uniform(-9.0, top, array.shape)
        sizes[name] = np.array(np.where(random.random(array.shape) < 0.05, 0.0, spread))
        sizes[name].flat[:1] = 1.0

    def gradients(step: int) -> Mapping[Hashable, np.ndarray]:
        random = np.random.default_rng([1, step])
        drawn = {}
        for name, size in sizes.items():
            gradient = np.array(random.normal(0.3, 1.0, size.shape) * size)
            gradient.flat[1:] *= random.random(size.size)[1:] >= 0.1
            drawn[name] = gradient
        return drawn

    return gradients


def supplied(
    gradients: Gradients, steps: int, values: Arrays, arrange: Arrangement
) -> Iterator[Pair]:
    """The user's gradients for both sides; a missing gradient is None in torch and 0 in JAX."""
    for k in range(steps):
        there = dict.fromkeys(values) | {
            name: None if g is None else np.asarray(g) for name, g in gradients(k).items()
        }
        for name, g in there.items():
            if name not in values:
                raise InputError(
                    f"gradients: {name!r} is not a parameter; there are {list(values)}"
                )
            if g is not None and g.shape != values[name].shape:
                raise InputError(
                    f"gradients: {name!r} has shape {g.shape}, its parameter {values[name].shape}"
                )
        yield Pair(there, arrange_by(arrange, _with_zeros(there, values)), np.zeros(0))


def computed(
    losses: Losses,
    batches: Iterable[Any],
    torch_side: Twin,
    arrange: Arrangement,
    sources: Sequence[Sequence[Hashable]],
) -> Iterator[Pair]:
    """Each side's own gradients at torch's parameters; both sides then step with torch's gradients.

    Args:
      losses: the two functions.
      batches: their data.
      torch_side: the copy of the run; the caller steps it between two pairs.
      arrange: where torch's parameters belong here.
      sources: torch's names of each leaf.
    """
    for batch in batches:
        for p in torch_side.parameters.values():
            p.grad = None
        losses[0](torch_side.module, batch).backward()
        values, there = torch_side.values(), torch_side.gradients()
        with bits(torch_side):
            params = jax.tree.map(jnp.array, arrange_by(arrange, values))
            ours = jax.grad(losses[1])(params, batch)
        torch_tree = arrange_by(arrange, _with_zeros(there, values))
        leaves_here, torch_leaves = (
            list(map(np.asarray, jax.tree.leaves(tree))) for tree in (ours, torch_tree)
        )
        known = [all(there[name] is not None for name in names) for names in sources]
        apart = [_apart(a, b) if k else 0.0 for a, b, k in zip(leaves_here, torch_leaves, known)]
        leaves = [b if k else a for a, b, k in zip(leaves_here, torch_leaves, known)]
        yield Pair(there, jax.tree.unflatten(jax.tree.structure(ours), leaves), np.array(apart))


def _with_zeros(gradients: Mapping[Hashable, np.ndarray | None], values: Arrays) -> Arrays:
    return {n: np.zeros_like(values[n]) if g is None else g for n, g in gradients.items()}


def _apart(ours: np.ndarray, of_torch: np.ndarray) -> float:
    a, b = (x.astype(np.float64) for x in (ours, of_torch))
    off, size = np.abs(a - b).max(initial=0.0), np.abs(b).max(initial=0.0)
    return float(off / size) if size else float(np.inf if off else 0.0)
