"""How a run's arrays are laid out on the devices that share it. JAX's partitioner does the rest.

The devices form one axis, `data`. Each device holds the parameters, the batch statistics and, for
an epoch, its part of every batch, which its process picks out of the training set. Only the sum of
the gradients travels between devices. With `shard_optimizer_state` each device holds its part of
the optimizer's state and updates that part of the parameters; then the devices gather all parts
(Rajbhandari et al. 2020, "ZeRO", §5.1, stage 1; arXiv:1910.02054).
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

PER_CORE = 32  # images per core; with fewer, synchronising each step costs more than it gains


class Layout(NamedTuple):
    """The devices of a run, and what they divide among them.

    Attributes:
      mesh: the devices; None for one device: arrays then lie where JAX puts them, and the compiled
        programs are the same as without a mesh.
      shard_optimizer_state: divide the optimizer's state too.
    """

    mesh: Mesh | None = None
    shard_optimizer_state: bool = False

    @property
    def devices(self) -> int:
        """The number of devices that share a batch."""
        return self.mesh.size if self.mesh else 1

    def context(self) -> AbstractContextManager[Any]:
        """The context in which to trace programs, so that the network knows the mesh."""
        return jax.set_mesh(self.mesh) if self.mesh else nullcontext()

    def jit(self, f: Callable[..., Any], **kwargs: Any) -> Callable[..., Any]:
        """`jax.jit` of a function, with its results copied to every device."""
        if not self.mesh:
            return jax.jit(f, **kwargs)
        jitted = jax.jit(f, out_shardings=self._whole(), **kwargs)

        def traced_in_context(*args: Any) -> Any:
            with self.context():
                return jitted(*args)

        return traced_in_context

    def lower(self, f: Callable[..., Any], *args: Any) -> jax.stages.Lowered:
        """Traces a function as `jit` does, to be compiled with the options of `sooner`."""
        shardings: dict[str, Any] = {"out_shardings": self._whole()} if self.mesh else {}
        with self.context():
            return jax.jit(f, **shardings, **sooner()).lower(*args)

    def hold(self, images: np.ndarray, labels: np.ndarray) -> Batch:
        """Puts the training set where `epoch` reads it: on one device, or in host memory."""
        data: Any = Batch(images, labels)  # type: ignore[arg-type]
        return data if self.mesh else jax.device_put(data)

    def epoch(self, data: Batch, order: np.ndarray) -> tuple[Batch, jax.Array | None]:
        """The data and order of an epoch, as `compile_stretch` takes them.

        Args:
          data: from `hold`.
          order: int32 (steps, batch), the examples of each step.

        Returns:
          On one device, the set and the order. On several devices, the batches, (steps, batch, …),
          divided among the devices, and no order; a process reads only its own devices' examples.
        """
        if not self.mesh:
            return data, jax.device_put(order)

        def batches(x: np.ndarray) -> jax.Array:
            def read(part: Any) -> np.ndarray:
                return x[order[part[:2]]]

            shape = (*order.shape, *x.shape[1:])
            return jax.make_array_from_callback(shape, self._cut(1), read)

        return jax.tree.map(batches, data), None

    def epoch_like(self, data: Batch, shape: tuple[int, int]) -> tuple[Batch, Any]:
        """The shapes of what `epoch` returns for an order of this shape."""
        if not self.mesh:
            return data, jax.ShapeDtypeStruct(shape, jnp.int32)

        def batches(x: np.ndarray) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((*shape, *x.shape[1:]), x.dtype, sharding=self._cut(1))

        return jax.tree.map(batches, data), None

    def cut(self, tree: Any, axis: int) -> Any:
        """Cuts arrays into equal parts along an axis; a process keeps its own devices' parts."""
        return self._put(tree, jax.tree.map(lambda _: self._cut(axis), tree) if self.mesh else tree)

    def place(self, state: TrainState) -> TrainState:
        """Lays out the state as `shardings` says."""
        return self._put(state, self.shardings(state)) if self.mesh else state

    def like(self, shapes: TrainState) -> TrainState:
        """The shapes and shardings of the state that `place` returns, enough to compile for it."""
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
        """The argument of `jax.jit` that keeps the layout of a step's (state, metrics)."""
        return {"out_shardings": (self.shardings(state), self._whole())} if self.mesh else {}

    def pin(self, state: TrainState) -> TrainState:
        """Fixes the layout of a traced step's state; in a loop XLA might choose another one."""
        if not self.mesh:
            return state
        return jax.lax.with_sharding_constraint(state, self.shardings(state))

    def optimizer(self, optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        """The optimizer, with the network's gradient kept whole where the state is divided.

        Otherwise XLA carries the division back into the network, and gathers its activations too.
        """
        if not (self.mesh and self.shard_optimizer_state):
            return optimizer
        inner = optax.with_extra_args_support(optimizer)

        def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
            updates = jax.lax.with_sharding_constraint(updates, self._whole())
            return inner.update(updates, state, params, **extra)

        return optax.GradientTransformationExtraArgs(inner.init, update)

    def memory(self, opt_state: Any) -> dict[str, int]:
        """Bytes of the optimizer's state on each device: as laid out, and as one whole copy.

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
        """Divided along the first axis that the devices divide evenly; else whole."""
        divided = (axis for axis, size in enumerate(x.shape) if size and size % self.devices == 0)
        return self._cut(next(divided, None))

    def _put(self, tree: Any, shardings: Any) -> Any:
        # Not jnp.asarray, which compiles a program for each shape.
        return jax.tree.map(put, tree, shardings) if self.mesh else jax.device_put(tree)


def split_cpu(size: int | None, batch_size: int, convolves: bool) -> None:
    """Makes JAX treat the CPU as several devices: `size`, or by default one per core where it pays.

    One program keeps two cores busy for only part of its time. Two devices, each with half a batch,
    are faster where most of the work is in convolutions. Nothing changes on GPUs and TPUs, once JAX
    has started, where the user has set the number of CPU devices, or in one of several processes.

    Args:
      size: the number of devices that the user asks for; None for the default.
      batch_size: of all devices together.
      convolves: whether the network has convolutions.
    """
    config: Any = jax.config
    has_flag = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if has_flag or config.jax_num_cpu_devices != -1 or jax.distributed.is_initialized():
        return
    if size is None:
        most = min(_cores(), batch_size // PER_CORE) if convolves else 1
        size = max((n for n in range(1, most + 1) if batch_size % n == 0), default=1)
    if size > 1:
        with suppress(RuntimeError):  # JAX has started
            config.update("jax_num_cpu_devices", size)


def _cores() -> int:
    """The number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def make_layout(size: int | None, batch_size: int, shard_optimizer_state: bool = False) -> Layout:
    """The layout of a run.

    Args:
      size: the number of devices; None for all devices of all processes.
      batch_size: of all devices together.
      shard_optimizer_state: divide the optimizer's state among the devices.

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
        # The CPUs of several processes wait at most 30 s for each other at their first sum. So take
        # it before they compile, which may take one process longer than that.
        layout.jit(jnp.sum)(layout.cut(np.ones(size), 0)).block_until_ready()
    return layout


def check_batch_size(batch_size: int, devices: int) -> None:
    """Raises InputError unless the devices divide the batch; names the nearest size they divide.

    >>> check_batch_size(64, 6)
    Traceback (most recent call last):
        ...
    jaxopt_notes.errors.InputError: --batch-size 64: is not a multiple of the 6 devices; pass 66,
    or --mesh data=4
    """
    if batch_size % devices:
        nearest = max(1, round(batch_size / devices)) * devices
        fewer = max(n for n in range(1, devices) if batch_size % n == 0)
        raise InputError(
            f"--batch-size {batch_size}: is not a multiple of the {devices} devices; pass "
            f"{nearest}, or --mesh {BATCH_AXIS}={fewer}"
        )


def bytes_of(tree: Any, shape: Callable[[Any], tuple[int, ...]]) -> int:
    """The bytes of a tree, with `shape` giving the part of each array that counts."""
    return sum(math.prod(shape(x)) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def put(x: Any, sharding: Sharding) -> jax.Array:
    """Lays out an array that every process holds whole; each keeps its own devices' parts."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = put(jax.random.key_data(x), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    values = np.asarray(x)
    return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])
