"""Where a run's arrays lie when several devices share it. JAX's partitioner does the rest.

The devices stand along one axis, `data`. Each holds the parameters, the batch statistics and, for
an epoch, its part of every batch, which its process picks out of the training set; the gradients'
sum is all that travels. With `shard_optimizer_state` each device holds only its part of the
optimizer's state and moves that part of the parameters; then the parts are gathered (Rajbhandari et
al. 2020, "ZeRO", §5.1, stage 1; arXiv:1910.02054).
"""

import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from jaxopt_notes.errors import InputError
from jaxopt_notes.models.sharding import BATCH_AXIS
from jaxopt_notes.runtime import start
from jaxopt_notes.runtime.compilation import sooner
from jaxopt_notes.training.state import TrainState
from jaxopt_notes.training.step import Batch
from jaxopt_notes.training.watching import own_state, with_own_state

PER_CORE = 32  # images of a batch; with fewer, coming together at each step costs what is gained


class Layout(NamedTuple):
    """The devices of a run, and what is cut among them.

    Attributes:
      mesh: the devices; None for one device. Then arrays lie where JAX puts them, and the compiled
        programs are those of a run that knows no mesh.
      shard_optimizer_state: cut the optimizer's state too.
    """

    mesh: Mesh | None = None
    shard_optimizer_state: bool = False

    @property
    def devices(self) -> int:
        """How many share a batch."""
        return self.mesh.size if self.mesh else 1

    def context(self) -> AbstractContextManager[Any]:
        """What to trace programs in, so that the network knows of the mesh."""
        return jax.set_mesh(self.mesh) if self.mesh else nullcontext()

    def jit(self, f: Callable[..., Any], **kwargs: Any) -> Callable[..., Any]:
        """`jax.jit` of a function whose results every device shall have."""
        if not self.mesh:
            return jax.jit(f, **kwargs)
        jitted = jax.jit(f, out_shardings=self._whole(), **kwargs)

        def traced_in_context(*args: Any) -> Any:
            with self.context():
                return jitted(*args)

        return traced_in_context

    def lower(self, f: Callable[..., Any], *args: Any) -> jax.stages.Lowered:
        """Traces a function whose results every device shall have, to be compiled `sooner`."""
        shardings: dict[str, Any] = {"out_shardings": self._whole()} if self.mesh else {}
        with self.context():
            return jax.jit(f, **shardings, **sooner()).lower(*args)

    def hold(self, images: np.ndarray, labels: np.ndarray) -> Batch:
        """The training set where `epoch` takes it from: one device, or the process's own memory."""
        data: Any = Batch(images, labels)  # type: ignore[arg-type]
        return data if self.mesh else jax.tree.map(jnp.asarray, data)

    def epoch(self, data: Batch, order: np.ndarray) -> tuple[Batch, jax.Array | None]:
        """What the steps of an epoch are given, as `compile_stretch` takes it.

        Args:
          data: from `hold`.
          order: int32 (steps, batch), the examples of each step.

        Returns:
          On one device the set and the order. On several the batches, (steps, batch, …), of which
          each device has its part, and no order; a process reads its own devices' examples only.
        """
        if not self.mesh:
            return data, jnp.asarray(order)

        def batches(x: np.ndarray) -> jax.Array:
            def read(part: Any) -> np.ndarray:
                return x[order[part[:2]]]

            shape = (*order.shape, *x.shape[1:])
            return jax.make_array_from_callback(shape, self._cut(1), read)

        return jax.tree.map(batches, data), None

    def epoch_like(self, data: Batch, shape: tuple[int, int]) -> tuple[Batch, Any]:
        """What `epoch` gives for an order of this shape, as shapes."""
        if not self.mesh:
            return data, jax.ShapeDtypeStruct(shape, jnp.int32)

        def batches(x: np.ndarray) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((*shape, *x.shape[1:]), x.dtype, sharding=self._cut(1))

        return jax.tree.map(batches, data), None

    def cut(self, tree: Any, axis: int) -> Any:
        """Arrays in equal parts along an axis; a process keeps the parts of its own devices."""
        return self._put(tree, jax.tree.map(lambda _: self._cut(axis), tree) if self.mesh else tree)

    def place(self, state: TrainState) -> TrainState:
        """The state laid out as `shardings` says."""
        return self._put(state, self.shardings(state)) if self.mesh else state

    def like(self, shapes: TrainState) -> TrainState:
        """Of a state's shapes, what `place` makes of the state: enough to compile for it."""
        if not self.mesh:
            return shapes

        def laid_out(x: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

        laid: TrainState = jax.tree.map(laid_out, shapes, self.shardings(shapes))
        return laid

    def shardings(self, state: TrainState) -> Any:
        """The sharding of each array of a state, from arrays or their shapes; needs a mesh."""
        whole = jax.tree.map(lambda _: self._whole(), state)
        if not self.shard_optimizer_state:
            return whole
        cut = jax.tree.map(self._of_slot, own_state(state.opt_state))
        return whole._replace(opt_state=with_own_state(whole.opt_state, cut))

    def step_shardings(self, state: TrainState) -> dict[str, Any]:
        """`jax.jit`'s argument that keeps a step's (state, metrics) where they were."""
        return {"out_shardings": (self.shardings(state), self._whole())} if self.mesh else {}

    def pin(self, state: TrainState) -> TrainState:
        """The state of a traced step, kept as it is laid out: a loop's is XLA's to choose else."""
        if not self.mesh:
            return state
        return jax.lax.with_sharding_constraint(state, self.shardings(state))

    def optimizer(self, optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        """The same optimizer, whose cut state leaves the network's gradient uncut.

        Without, XLA carries the cuts back into the network, and gathers its activations too.
        """
        if not (self.mesh and self.shard_optimizer_state):
            return optimizer
        inner = optax.with_extra_args_support(optimizer)

        def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
            updates = jax.lax.with_sharding_constraint(updates, self._whole())
            return inner.update(updates, state, params, **extra)

        return optax.GradientTransformationExtraArgs(inner.init, update)

    def memory(self, opt_state: Any) -> dict[str, int]:
        """Bytes of the optimizer's state on each device: as it is laid out, and if it were whole.

        Args:
          opt_state: the state, or its shapes.
        """
        whole = bytes_of(opt_state, lambda x: x.shape)
        cut = self.mesh and self.shard_optimizer_state
        held = (
            bytes_of(opt_state, lambda x: self._of_slot(x).shard_shape(x.shape)) if cut else whole
        )
        return {"optimizer_state": held, "optimizer_state_whole": whole}

    def _whole(self) -> NamedSharding:
        return self._cut(None)

    def _cut(self, axis: int | None) -> NamedSharding:
        assert self.mesh is not None
        spec = () if axis is None else (*[None] * axis, BATCH_AXIS)
        return NamedSharding(self.mesh, PartitionSpec(*spec))

    def _of_slot(self, x: Any) -> NamedSharding:
        """Cut along the first axis that the devices divide; whole where there is none."""
        divided = (axis for axis, size in enumerate(x.shape) if size and size % self.devices == 0)
        return self._cut(next(divided, None))

    def _put(self, tree: Any, shardings: Any) -> Any:
        return jax.tree.map(put, tree, shardings) if self.mesh else jax.tree.map(jnp.asarray, tree)


def split_cpu(size: int | None, batch_size: int, convolves: bool) -> None:
    """Has JAX take the CPU for several devices: `size`, or without it one a core where that pays.

    One program keeps two cores busy for part of its time only. Two devices, each with its part of a
    batch, do better where most of the work is in convolutions. On GPUs and TPUs nothing changes.
    Neither does anything once JAX has started, nor where the user has said how many CPU devices
    there shall be, nor among several processes.

    Args:
      size: how many devices are asked for.
      batch_size: of all devices together.
      convolves: whether the network has convolutions.
    """
    config: Any = jax.config
    said = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if said or config.jax_num_cpu_devices != -1 or jax.distributed.is_initialized():
        return
    if size is None:
        most = min(_cores(), batch_size // PER_CORE) if convolves else 1
        size = max((n for n in range(1, most + 1) if batch_size % n == 0), default=1)
    if size > 1:
        with suppress(RuntimeError):  # JAX has started
            config.update("jax_num_cpu_devices", size)


def _cores() -> int:
    """How many this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def make_layout(size: int | None, batch_size: int, shard_optimizer_state: bool = False) -> Layout:
    """The layout of a run.

    Args:
      size: how many devices; None for all that there are, those of other processes included.
      batch_size: of all devices together.
      shard_optimizer_state: cut the optimizer's state among them.

    Raises:
      InputError: JAX finds no device, or fewer than asked for, or they do not divide the batch.
    """
    devices = start.devices()
    size = len(devices) if size is None else size
    if size > len(devices):
        raise InputError(
            f"--mesh data={size}: there are {len(devices)} devices; pass at most that many"
        )
    if jax.process_count() > 1 and size != len(devices):
        raise InputError(f"--mesh data={size}: the processes have {len(devices)} devices; use all")
    check_batch_size(batch_size, size)
    if size == 1:
        return Layout(None, shard_optimizer_state)
    mesh = jax.make_mesh((size,), (BATCH_AXIS,), (AxisType.Auto,), devices=devices[:size])
    layout = Layout(mesh, shard_optimizer_state)
    if jax.process_count() > 1:
        # CPUs of several processes give each other 30 s to come to their first sum: before any
        # of them compiles, which may take one of them longer than that.
        layout.jit(jnp.sum)(layout.cut(np.ones(size), 0)).block_until_ready()
    return layout


def check_batch_size(batch_size: int, devices: int) -> None:
    """Raises InputError unless the devices divide the batch, naming the nearest that they do.

    >>> check_batch_size(64, 6)
    Traceback (most recent call last):
        ...
    jaxopt_notes.errors.InputError: --batch-size 64: 6 devices do not divide it; pass 66, or --mesh
    data=4
    """
    if batch_size % devices:
        nearest = max(1, round(batch_size / devices)) * devices
        fewer = max(n for n in range(1, devices) if batch_size % n == 0)
        raise InputError(
            f"--batch-size {batch_size}: {devices} devices do not divide it; "
            f"pass {nearest}, or --mesh {BATCH_AXIS}={fewer}"
        )


def bytes_of(tree: Any, shape: Callable[[Any], tuple[int, ...]]) -> int:
    """What a tree takes, if of each array this shape is kept."""
    return sum(math.prod(shape(x)) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def put(x: Any, sharding: Sharding) -> jax.Array:
    """Lays out an array that every process has whole; each keeps the parts of its own devices."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = put(jax.random.key_data(x), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    values = np.asarray(x)
    return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])
