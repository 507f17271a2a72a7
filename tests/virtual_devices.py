"""A process's environment in which its CPU is several devices."""

import os

# XLA compiles the tests' small programs up to eight times faster with these: no loops fused by its
# emitters, none of LLVM's optimisations, and no program split among threads, which costs more than
# it gains. A jaxlib that lacks a flag would abort.
COMPILE_SOON = (
    "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0 "
    "--xla_cpu_parallel_codegen_split_count=1"
)


def environment(devices: int, flags: str = "") -> dict[str, str]:
    """For a process that is to have so many, with further flags of XLA.

    XLA gives them a thread each, and a program's devices wait for each other in these; where
    another program holds one of them meanwhile, that is for ever. So there are some to spare.
    """
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {flags}",
        "PJRT_NPROC": str(4 * devices),
    }
