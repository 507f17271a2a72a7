"""The contestants of `train_step` that run on JAX. Each trains on real digits of mnist-12k."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx
from flax.training.train_state import TrainState

from benchmarks.bench import Bench
from benchmarks.contestants import mnist_flax
from benchmarks.contestants.recipe import normalized
from jaxopt_notes.data import epoch_order, load
from jaxopt_notes.microscope.watching import watch
from jaxopt_notes.models import CNN, pure
from jaxopt_notes.optimizers import adam
from jaxopt_notes.training.loop import compile_stretch, zero_sums
from jaxopt_notes.training.sharding import Layout, make_layout, split_cpu
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, make_train_step, normalization_of

RATE = 1e-3


def _order(batch: int) -> np.ndarray:
    return epoch_order(0, 0, len(load("mnist-12k").train_labels), batch)


def _ours(layout: Layout, watched: bool = False) -> tuple[Any, Any, Batch]:
    """Our step, its first state, and the data."""
    data = load("mnist-12k")
    model, optimizer = pure(CNN(nnx.Rngs(0))), adam(RATE)
    if watched:
        optimizer = watch(optimizer)
    step = make_train_step(model, optimizer, normalization_of(data.train_images))
    state = layout.place(create(model, optimizer, jax.random.key(0)))
    return step, state, layout.hold(data.train_images, data.train_labels)


def ours_driven(batch: int, devices: int | None = None, watched: bool = False) -> Bench:
    """Our step in our driver, which gathers the batches and sums the metrics on the devices.

    As in the training command, the batch size decides whether a CPU is one device or several.
    """
    split_cpu(devices, batch, convolves=True)
    layout = make_layout(devices, batch)
    step, state, data = _ours(layout, watched)
    order = _order(batch)
    batches = layout.epoch(data, order)
    start = time.perf_counter()
    stretch = compile_stretch(step, state, *batches, layout=layout)
    facts = {
        "devices": layout.devices,
        "build_seconds": time.perf_counter() - start,
        **temporary_memory(stretch),
    }

    def run(steps: int) -> None:
        nonlocal state
        for first in range(0, steps, len(order)):
            stop = np.int32(min(steps - first, len(order)))
            state, sums = stretch(state, zero_sums(), *batches, np.int32(0), stop)
        jax.block_until_ready((state, sums))

    return Bench(run, facts)


def ours_single(batch: int) -> Bench:
    """Our step by itself: jitted, with the state donated, on batches that are on the device."""
    step, state, data = _ours(Layout())
    batches = [Batch(*(x[i] for x in data)) for i in _order(batch)]
    start = time.perf_counter()
    jitted = jax.jit(step, donate_argnums=0).lower(state, batches[0]).compile()
    facts = {"build_seconds": time.perf_counter() - start, **temporary_memory(jitted)}
    call = jax.jit(step, donate_argnums=0)

    def one(batch: Batch) -> Any:
        nonlocal state
        state, metrics = call(state, batch)
        return state, metrics

    return _stepwise(one, batches, facts)


def flax_nnx(batch: int) -> Bench:
    """A step in the manner of Flax's MNIST tutorial."""
    batches = _numpy_batches(batch)
    model, metrics = mnist_flax.CNN(rngs=nnx.Rngs(0)), mnist_flax.new_metrics()
    optimizer = nnx.Optimizer(model, optax.adam(RATE), wrt=nnx.Param)
    arguments = (model, optimizer, metrics)
    start = time.perf_counter()
    compiled = mnist_flax.train_step.lower(*arguments, batches[0]).compile()
    facts = {"build_seconds": time.perf_counter() - start, **temporary_memory(compiled)}

    def one(batch: dict[str, Any]) -> Any:
        mnist_flax.train_step(*arguments, batch)
        return nnx.state(model)

    return _stepwise(one, batches, facts)


class LinenCNN(linen.Module):
    """The notes' network, built from Linen's layers."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        """Logits."""
        he = linen.initializers.he_normal()
        for features in (32, 64):
            x = linen.relu(linen.Conv(features, (3, 3), kernel_init=he)(x))
            x = linen.max_pool(x, (2, 2), strides=(2, 2))
        x = linen.relu(linen.Dense(128, kernel_init=he)(x.reshape(x.shape[0], -1)))
        return linen.Dense(10)(x)


@jax.jit
def _linen_step(state: TrainState, batch: dict[str, Any]) -> tuple[TrainState, dict[str, Any]]:
    def loss_fn(params: Any) -> tuple[Any, Any]:
        logits = state.apply_fn({"params": params}, batch["image"])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        return losses.mean(), logits

    (loss, logits), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    accuracy = (logits.argmax(-1) == batch["label"]).mean()
    return state.apply_gradients(grads=grads), {"loss": loss, "accuracy": accuracy}


def flax_linen(batch: int) -> Bench:
    """A step with Linen and `TrainState`."""
    batches = _numpy_batches(batch)
    network = LinenCNN()
    params = network.init(jax.random.key(0), batches[0]["image"])["params"]
    state = TrainState.create(apply_fn=network.apply, params=params, tx=optax.adam(RATE))
    start = time.perf_counter()
    compiled = _linen_step.lower(state, batches[0]).compile()
    facts = {"build_seconds": time.perf_counter() - start, **temporary_memory(compiled)}

    def one(batch: dict[str, Any]) -> Any:
        nonlocal state
        state, metrics = _linen_step(state, batch)
        return state, metrics

    return _stepwise(one, batches, facts)


def _numpy_batches(batch: int) -> list[dict[str, Any]]:
    """Batches as NumPy arrays, as an input pipeline delivers them."""
    data = load("mnist-12k")
    images = normalized(data.train_images, data.train_images)
    return [{"image": images[i], "label": data.train_labels[i]} for i in _order(batch)]


def _stepwise(one: Callable[[Any], Any], batches: Sequence[Any], facts: dict[str, Any]) -> Bench:
    """A bench of a step that Python calls, with the cost of the call itself."""

    def run(steps: int) -> None:
        for i in range(steps):
            out = one(batches[i % len(batches)])
        jax.block_until_ready(out)

    empty = jax.jit(lambda x: x)
    nothing = jnp.zeros([])
    overhead = call_seconds(lambda: one(batches[0])) - call_seconds(lambda: empty(nothing))
    return Bench(run, {**facts, "call_overhead_seconds": overhead})


def call_seconds(call: Callable[[], Any], times: int = 40) -> float:
    """The median time that a call takes in Python, on an idle device."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        out = call()
        taken.append(time.perf_counter() - start)
        jax.block_until_ready(out)
    return statistics.median(taken[times // 4 :])


def temporary_memory(compiled: Any) -> dict[str, int]:
    """The temporary bytes of a compiled function; empty where it does not report them."""
    analysis = getattr(compiled, "memory_analysis", lambda: None)()
    return {} if analysis is None else {"temporary_bytes": analysis.temp_size_in_bytes}
