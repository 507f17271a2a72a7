"""The contestants of `update_step` that run on JAX.

To add one, add a line to `KINDS` and one to `update_step.CONTESTANTS`, which also sets the
variables of its process, such as XLA_FLAGS.
"""

import math
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_notes.optimizers as notes
from benchmarks.bench import Bench, Unavailable
from benchmarks.contestants.step_jax import temporary_memory
from benchmarks.contestants.trees import BYTES, TREES, elements

Pair = tuple[Callable[..., Any], Callable[..., Any]]
"""init(params) -> state, and step(params, state, grads) -> (params, state)."""

RATE = 1e-3
RULES: dict[str, tuple[str, dict[str, float]]] = {
    rule: (rule, {}) for rule in ("adagrad", "rmsprop", "adam", "adamw")
} | {"sgd-momentum": ("sgd", {"momentum": 0.9})}
PIECES = (2**18, 2**20, 2**22, 2**24, 2**27)  # elements; the fastest size depends on the tree


def of_library(library: ModuleType, rule: str) -> Pair:
    """The rule as a library implements it, ours or optax."""
    name, settings = RULES[rule]
    return plainly(getattr(library, name)(RATE, **settings))


def of_packed(rule: str) -> Pair:
    """Our rule, with the slots of small leaves packed in blocks."""
    name, settings = RULES[rule]
    return plainly(notes.packed(getattr(notes, name))(RATE, **settings))


def of_one_loop(rule: str) -> Pair:
    """Our rule, with one loop for all outputs of a leaf."""
    if not notes.one_loop_works():
        raise Unavailable("this XLA has no multi-output fusion")
    name, settings = RULES[rule]
    optimizer = getattr(notes, name)(RATE, **settings)

    def step(params: Any, state: Any, grads: Any) -> Any:
        return notes.update_in_one_loop(optimizer, grads, state, params)

    return optimizer.init, step


def plainly(optimizer: optax.GradientTransformation) -> Pair:
    """Calls the optimizer's update and applies the result."""

    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return optimizer.init, step


KINDS: dict[str, Callable[[str], Pair]] = {
    "ours": lambda rule: of_library(notes, rule),
    "packed": of_packed,
    "one loop": of_one_loop,
    "optax": lambda rule: of_library(optax, rule),
}


def update(kind: str, rule: str, tree: str) -> Bench:
    """A kind's rule in one jit, with parameters and state donated."""
    init, step = KINDS[kind](rule)
    one_leaf = {"0": jnp.ones(3)}  # pays the one-time costs of a process
    jax.jit(step).lower(one_leaf, init(one_leaf), one_leaf).compile()
    params, grads = arrays(tree)
    return _bench(step, params, init(params), grads)


def passing(rule: str, tree: str) -> Bench:
    """Passes the arrays in and out without arithmetic, to measure the cost of passing them."""
    params, grads = arrays(tree)
    state = of_library(optax, rule)[0](params)
    return _bench(lambda params, state, grads: (params, state), params, state, grads)


def floor(rule: str, tree: str) -> Bench:
    """A plain loop in place, x · c, that moves as many bytes as the rule must move."""
    size = elements(tree) * BYTES[rule] // 8  # one read and one write of four bytes each
    # A GPU is fastest with few kernels, and a thousand kernels would take long to compile.
    candidates = PIECES if jax.default_backend() == "cpu" else PIECES[-2:]
    pieces = sorted({math.ceil(size / piece) for piece in candidates})
    return min((_floor(size, number) for number in pieces), key=_seconds)


def _floor(size: int, pieces: int) -> Bench:
    x = [jnp.ones(size // pieces) for _ in range(pieces)]

    def step(x: Any, state: Any, c: Any) -> Any:
        return [piece * c for piece in x], state

    return _bench(step, x, (), jnp.float32(0.9999))


def _seconds(bench: Bench) -> float:
    """The time of a run of a few steps, the best of three runs."""
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        bench.run(5)
        taken.append(time.perf_counter() - start)
    return min(taken)


def arrays(tree: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and gradients."""
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
