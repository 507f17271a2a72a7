"""The contestants of `update_step` that run on JAX.

A contestant is made by `OPTIMIZERS[kind](rule)`, a `GradientTransformation`. To add one, add a line
there and a line in `update_step.CONTESTANTS`; that is also where variables such as XLA_FLAGS are
set for its process.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_notes.optimizers as notes
from benchmarks.contestants.step_jax import temporary_memory
from benchmarks.contestants.trees import BYTES, TREES, elements
from benchmarks.worker import Bench

RATE = 1e-3


def ours(rule: str) -> optax.GradientTransformation:
    """The rule as jaxopt_notes has it."""
    return notes.sgd(RATE, momentum=0.9) if rule == "sgd-momentum" else getattr(notes, rule)(RATE)


def builtin(rule: str) -> optax.GradientTransformation:
    """The rule as optax has it."""
    return optax.sgd(RATE, momentum=0.9) if rule == "sgd-momentum" else getattr(optax, rule)(RATE)


OPTIMIZERS: dict[str, Callable[[str], optax.GradientTransformation]] = {
    "ours": ours,
    "optax": builtin,
}


def update(kind: str, rule: str, tree: str) -> Bench:
    """Update and apply in one jit, parameters and state donated."""
    optimizer = OPTIMIZERS[kind](rule)

    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    one_leaf = {"0": jnp.ones(3)}  # what is done but once in a process is not a tree's own cost
    jax.jit(step).lower(one_leaf, optimizer.init(one_leaf), one_leaf).compile()
    params, grads = _arrays(tree)
    return _bench(step, params, jax.jit(optimizer.init)(params), grads)


def passing(rule: str, tree: str) -> Bench:
    """The same arrays in and out, and no arithmetic: what handing them over costs."""
    params, grads = _arrays(tree)
    state = jax.jit(builtin(rule).init)(params)
    return _bench(lambda params, state, grads: (params, state), params, state, grads)


def floor(rule: str, tree: str) -> Bench:
    """A plain loop in place over one array, of as many bytes as the rule must move."""
    size = elements(tree) * BYTES[rule] // 12  # two reads and a write of four bytes
    x, g = jnp.ones(size), jnp.full(size, 1e-6)
    return _bench(lambda x, state, g: (x + g, state), x, (), g)


def _arrays(tree: str) -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(0)
    shapes = {f"{i:04d}": shape for i, shape in enumerate(TREES[tree]())}

    def normal(scale: float) -> dict[str, Any]:
        return {
            name: jnp.asarray(scale * random.standard_normal(shape, np.float32))
            for name, shape in shapes.items()
        }

    return normal(0.1), normal(0.01)


def _bench(step: Callable[..., Any], params: Any, state: Any, grads: Any) -> Bench:
    """The bench of `step(params, state, grads) -> (params, state)`."""

    def compiled() -> tuple[Any, dict[str, float]]:
        jax.clear_caches()
        start = time.perf_counter()
        lowered = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, grads)
        between = time.perf_counter()
        done = lowered.compile()
        end = time.perf_counter()
        return done, {"trace_seconds": between - start, "compile_seconds": end - between}

    call, _ = compiled()
    facts = temporary_memory(call)

    def run(steps: int) -> None:
        nonlocal params, state
        for _ in range(steps):
            params, state = call(params, state, grads)
        jax.block_until_ready((params, state))

    return Bench(run, facts, lambda: compiled()[1])
