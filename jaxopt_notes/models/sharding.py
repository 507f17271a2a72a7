"""A batch that lies spread over the devices of a mesh, as a program being traced may know it.

JAX partitions a program by itself, from the layout of its arguments: the parts of a network say
nothing about devices. Three places do better by knowing: see who calls this.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, PartitionSpec

BATCH_AXIS = "data"  # of the mesh: the axis that a batch is cut along


def devices_in_trace() -> int:
    """Over how many devices `jax.set_mesh` spreads a batch in what is being traced; 1 without.

    >>> devices_in_trace()
    1
    """
    mesh = jax.sharding.get_abstract_mesh()
    by_xla = dict(zip(mesh.axis_names, mesh.axis_types)).get(BATCH_AXIS) == AxisType.Auto
    return mesh.shape[BATCH_AXIS] if by_xla else 1


def device_kind_in_trace() -> str | None:
    """What `jax.set_mesh` says of the devices: "cpu", "TPU v5 lite", …; None without.

    >>> device_kind_in_trace()
    """
    device: Any = jax.sharding.get_abstract_mesh().abstract_device
    return None if device is None else str(device.device_kind)


def gpu_in_trace() -> bool:
    """Whether what is being traced is for a GPU: one of `jax.set_mesh`, or else JAX's default.

    >>> gpu_in_trace()
    False
    """
    kind = device_kind_in_trace()
    if kind is None:
        return jax.default_backend() == "gpu"
    return kind != "cpu" and not kind.startswith("TPU")


def per_device(f: Callable[[jax.Array, Any], jax.Array], batch: int) -> Callable[..., jax.Array]:
    """`f(x, parameters)` on each device's own examples, without a word between the devices.

    XLA would cut a function that reorders its batch in other ways too, and send the batch around.

    Args:
      f: treats each example by itself.
      batch: how many examples x has; where they do not divide evenly, it is left to XLA.

    Returns:
      A function of the same values; f itself outside of a mesh.
    """
    devices = devices_in_trace()
    if devices == 1 or batch % devices:
        return f
    spread = PartitionSpec(BATCH_AXIS)
    return jax.shard_map(
        f, in_specs=(spread, PartitionSpec()), out_specs=spread, axis_names={BATCH_AXIS}
    )
