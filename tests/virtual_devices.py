"""A process's environment in which its CPU is several devices."""

import os


def environment(devices: int) -> dict[str, str]:
    """For a process that is to have so many.

    XLA gives them a thread each, and a program's devices wait for each other in these; where
    another program holds one of them meanwhile, that is for ever. So there are some to spare.
    """
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "PJRT_NPROC": str(4 * devices),
    }
