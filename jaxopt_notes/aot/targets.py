"""The hardware that a step can be compiled for, whether it is here or not.

    cpu, cpu:8                  this machine, as one device or as several virtual ones
    tpu:v5e:2x2, tpu:v6e:1x1    a slice of TPU chips, by the compiler in libtpu (extra `tpu`)
    cuda:h100, cuda:h200:8      GPUs of one host, by JAX's CUDA plugin (extra `cuda12` or `cuda13`)

XLA's CUDA compiler usually asks the driver about the GPU; here a description takes the driver's
place. Without a GPU the compiler cannot time kernels, so the program is complete but not the
fastest.

Sources: TPU memory and bandwidth from Google Cloud's pages on v5e and v6e; GPU memory, bandwidth
and processors from NVIDIA's H100 SXM and H200 SXM data sheets; the other limits from table
"Technical Specifications per Compute Capability" (9.0) of NVIDIA's CUDA C++ Programming Guide.
"""

import os
import re
from typing import Any, NamedTuple

from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import installed, require
from jaxopt_notes.runtime.host import set_environment_default

GB = 10**9


class Target(NamedTuple):
    """The hardware to compile for.

    Attributes:
      name: the target as the user wrote it.
      platform: "cpu", "cuda" or "tpu".
      kind: the generation of TPU or the GPU's name; empty for a CPU.
      shape: the slice of TPU chips, rows and columns; else (how many devices,).

    >>> parse("tpu:v5e:2x2")
    Target(name='tpu:v5e:2x2', platform='tpu', kind='v5e', shape=(2, 2))
    """

    name: str
    platform: str
    kind: str
    shape: tuple[int, ...]


class Memory(NamedTuple):
    """A device's memory in bytes, and the source of the figure.

    >>> memory(parse("tpu:v6e:1x1")).size
    32000000000
    """

    size: int
    source: str


class _TPU(NamedTuple):
    memory: int
    bandwidth: int  # bytes a second


class _GPU(NamedTuple):
    title: str
    memory: int
    bandwidth: int  # bytes a second


_TPUS = {"v5e": _TPU(16 * GB, 819 * GB), "v6e": _TPU(32 * GB, 1640 * GB)}
_GPUS = {
    "h100": _GPU("NVIDIA H100 80GB HBM3", 80 * GB, 3350 * GB),
    "h200": _GPU("NVIDIA H200", 141 * GB, 4800 * GB),
}
# By default libtpu assumes a TPU: it would ask the network which one, and lock it.
_LIBTPU = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_LOG_DIR": "disabled",
}
# Platform → extra → the module that holds the compiler; one of a platform's extras is enough.
_COMPILERS = {
    "tpu": {"tpu": "libtpu"},
    "cuda": {"cuda12": "jax_cuda12_plugin", "cuda13": "jax_cuda13_plugin"},
}
EXAMPLES = "cpu, cpu:8, tpu:v5e:2x2, tpu:v6e:1x1, cuda:h100, cuda:h200:8"


def parse(text: str) -> Target:
    """Parses the name of a target.

    Raises:
      InputError: the text names no target.

    >>> parse("tpu:v5e:2x2").shape, parse("cuda:h100").shape
    ((2, 2), (1,))
    """
    number = r"([1-9]\d{0,3})"
    forms = {
        "cpu": rf"cpu()(?::{number})?",
        "cuda": rf"cuda:({'|'.join(_GPUS)})(?::{number})?",
        "tpu": rf"tpu:({'|'.join(_TPUS)}):{number}x{number}",
    }
    for platform, form in forms.items():
        if match := re.fullmatch(form, text, re.ASCII):
            kind, *sides = match.groups()
            return Target(text, platform, kind, tuple(int(side or 1) for side in sides))
    raise InputError(f"--target {text}: unknown; pass one such as {EXAMPLES}")


def memory(target: Target) -> Memory:
    """The memory of one device.

    >>> memory(parse("cuda:h100")).size
    80000000000
    """
    if target.platform == "tpu":
        return Memory(_TPUS[target.kind].memory, f"Google Cloud's page on TPU {target.kind}")
    if target.platform == "cuda":
        return Memory(
            _GPUS[target.kind].memory, f"NVIDIA's data sheet of the {target.kind.upper()}"
        )
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Memory(size, "this machine, shared by all devices")


def bandwidth(target: Target) -> int | None:
    """The peak memory bandwidth of one device in bytes a second; None where no source gives it.

    >>> bandwidth(parse("cuda:h100")), bandwidth(parse("cpu"))
    (3350000000000, None)
    """
    chips: dict[str, Any] = {**_TPUS, **_GPUS}
    return chips[target.kind].bandwidth if target.kind in chips else None


def devices(target: Target) -> list[Any]:
    """The target's devices: for a CPU those of this machine, else devices to compile for only.

    Call it before using JAX, which fixes the number of virtual CPU devices.

    Raises:
      InputError: an extra is missing, or its compiler does not know the hardware.

    >>> [device.platform for device in devices(parse("cpu"))]
    ['cpu']
    """
    from jax.errors import JaxRuntimeError

    make = {"cpu": _cpus, "tpu": _tpus, "cuda": _gpus}[target.platform]
    try:
        return make(target)
    except (JaxRuntimeError, NotImplementedError, RuntimeError) as error:
        message = f"--target {target.name}: its compiler says: {first_line(error)}"
        raise InputError(message) from error


def missing_extra(platform: str) -> str:
    """The extra to install before compiling for a platform; empty if its compiler is installed.

    >>> missing_extra("cpu")
    ''
    """
    compilers = _COMPILERS.get(platform, {})
    return "" if any(map(installed, compilers.values())) else next(iter(compilers), "")


def _cpus(target: Target) -> list[Any]:
    import jax

    (count,) = target.shape
    if count > 1:
        jax.config.update("jax_num_cpu_devices", count)
    return jax.devices("cpu")[:count]


def _tpus(target: Target) -> list[Any]:
    from jax.experimental.topologies import get_topology_desc

    _require_extra(target)
    for name, value in _LIBTPU.items():
        set_environment_default(name, value)
    rows, columns = target.shape
    # A host has four chips, unless the slice has only one.
    bounds = {"chips_per_host_bounds": (1, 1, 1)} if rows * columns == 1 else {}
    slice_name = f"{target.kind}:{rows}x{columns}"
    return get_topology_desc(slice_name, platform="tpu", **bounds).devices


def _gpus(target: Target) -> list[Any]:
    from jax.experimental.topologies import get_topology_desc

    _require_extra(target)
    (count,) = target.shape
    return get_topology_desc(
        target.kind,
        platform="cuda",
        topology=f"1x1x{count}",  # slices, hosts, devices of a host
        target_config=_gpu_as_protobuf(_GPUS[target.kind]),
    ).devices


def _require_extra(target: Target) -> None:
    if extra := missing_extra(target.platform):
        require(f"--target {target.name}", extra, _COMPILERS[target.platform][extra])


def _gpu_as_protobuf(gpu: _GPU) -> str:
    """XLA's `GpuTargetConfigProto` as text: Hopper's limits, and the values of one card."""
    info = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "threads_per_core_limit": 2048,
        "shared_memory_per_block": 48 * 1024,
        "shared_memory_per_block_optin": 227 * 1024,
        "shared_memory_per_core": 228 * 1024,
        "registers_per_block_limit": 64 * 1024,
        "registers_per_core_limit": 64 * 1024,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 2**16 - 1,
        "block_dim_limit_z": 2**16 - 1,
        "core_count": 132,
        "fpus_per_core": 128,
        "l2_cache_size": 50 * 1024**2,
        "clock_rate_ghz": 1.98,
        "device_memory_size": gpu.memory,
        "memory_bandwidth": gpu.bandwidth,
        "cuda_compute_capability": "{ major: 9 }",
    }
    fields = "\n".join(f"{name}: {value}" for name, value in info.items())
    return f"""
        gpu_device_info {{ {fields.replace(": {", " {")} }}
        platform_name: "CUDA"
        dnn_version_info {{ major: 9 minor: 8 }}
        runtime_version {{ major: 12 minor: 8 }}
        device_description_str: "{gpu.title}"
    """
