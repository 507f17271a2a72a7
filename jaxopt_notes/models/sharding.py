"""Facts about a sharded batch that a program can use while it is traced.

JAX partitions a program by itself, from the sharding of its arguments, so the parts of a network do
not mention devices. The functions here serve the few places that run faster if they know the
devices.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, PartitionSpec

BATCH_AXIS = "data"  # the mesh axis along which a batch is sharded


def devices_in_trace() -> int:
    """The number of devices over which `jax.set_mesh` shards a batch in this trace; 1 without a
    mesh.

    >>> devices_in_trace()
    1
    """
    mesh = jax.sharding.get_abstract_mesh()
    by_xla = dict(zip(mesh.axis_names, mesh.axis_types)).get(BATCH_AXIS) == AxisType.Auto
    return mesh.shape[BATCH_AXIS] if by_xla else 1


def device_kind_in_trace() -> str | None:
    """The device kind of `jax.set_mesh`: "cpu", "TPU v5 lite", …; None without a mesh.

    >>> device_kind_in_trace()
    """
    device: Any = jax.sharding.get_abstract_mesh().abstract_device
    return None if device is None else str(device.device_kind)


def gpu_in_trace() -> bool:
    """Whether the traced program is for a GPU: of `jax.set_mesh`, or else JAX's default device.

    >>> gpu_in_trace()
    False
    """
    kind = device_kind_in_trace()
    if kind is None:
        return jax.default_backend() == "gpu"
    return kind != "cpu" and not kind.startswith("TPU")


def per_device(f: Callable[[jax.Array, Any], jax.Array], batch: int) -> Callable[..., jax.Array]:
    """`f(x, parameters)` on each device's own examples, without communication between devices.

    Otherwise XLA might shard a function that reorders its batch along other axes, and move the
    batch between devices.

    Args:
      f: a function that treats each example by itself.
      batch: how many examples x has; if the devices do not divide them evenly, XLA partitions f.

    Returns:
      A function with the values of f; f itself without a mesh.
    """
    devices = devices_in_trace()
    if devices == 1 or batch % devices:
        return f
    spread = PartitionSpec(BATCH_AXIS)
    return jax.shard_map(
        f, in_specs=(spread, PartitionSpec()), out_specs=spread, axis_names={BATCH_AXIS}
    )
