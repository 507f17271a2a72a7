"""A process's environment in which its CPU is several devices."""

import os

import jax

# XLA compiles the tests' small programs up to eight times faster without LLVM's optimisations,
# without splitting a program among threads (which costs more than it gains), and without its fusion
# emitters, a flag that later versions do not know: they would abort.
EMITTERS = jax.__version_info__ < (0, 11)
COMPILE_SOON = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
# As XLA compiles by default: options of jax.jit where bits within a program are the subject.
BY_DEFAULT: dict[str, bool | int | str | float] = {"xla_backend_optimization_level": 3}
if EMITTERS:
    COMPILE_SOON += " --xla_cpu_use_fusion_emitters=false"
    BY_DEFAULT["xla_cpu_use_fusion_emitters"] = True


def environment(devices: int, flags: str = "") -> dict[str, str]:
    """For a process with this many devices, and with further flags of XLA.

    XLA has one thread for each device, and the devices of a program wait for each other in these
    threads. If another program holds one of the threads, they wait for ever, so there are more
    threads than devices.
    """
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {flags}",
        "PJRT_NPROC": str(4 * devices),
    }
