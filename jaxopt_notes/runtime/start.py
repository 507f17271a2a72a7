"""Starts JAX for a command with fixed settings; if JAX cannot start, one line says why."""

import os
import sys
from typing import Any

from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.runtime.host import enter, set_environment_default, set_jax

# JAX's defaults for the settings that affect results. A command uses them whatever the user's shell
# sets, so that runs can be repeated, and one run can read what another wrote.
DIGITS = {
    "enable_x64": False,
    "numpy_dtype_promotion": "standard",
    "default_matmul_precision": None,
    "default_prng_impl": "threefry2x32",
    "threefry_partitionable": True,
}
OFFSET = "jax_random_seed_offset"
# XLA's flags that change no result. A command reports other flags but cannot undo them, because
# XLA reads them when JAX starts.
HARMLESS = ("--xla_force_host_platform_device_count", "--xla_dump", "--xla_hlo_profile")


def import_jax() -> None:
    """Imports JAX and keeps its settings in `DIGITS` at their defaults until the command ends.

    JAX's transfer guard is turned off too, because even `jax.random.key` fails under it.

    Raises:
      InputError: JAX refuses a setting of the user's.
    """
    try:
        import jax
    except ValueError as error:
        raise InputError(f"JAX cannot start: {first_line(error)}; correct that setting") from error
    config: Any = jax.config
    for name, value in DIGITS.items():
        if getattr(config, f"jax_{name}") != value:
            enter(getattr(jax, name)(value))
    flags = os.environ.get("XLA_FLAGS", "").split()
    if others := [flag for flag in flags if not flag.startswith(HARMLESS)]:
        print(f"note: XLA_FLAGS has {' '.join(others)}: they may change results", file=sys.stderr)
    if getattr(config, OFFSET):
        set_jax(OFFSET, 0)
    if any("transfer_guard" in name and value for name, value in config.values.items()):
        enter(jax.transfer_guard("allow"))


def devices() -> list[Any]:
    """`jax.devices()`, which starts JAX's backend.

    Raises:
      InputError: the platform that the user chose is not available.
    """
    import jax

    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts on cuda without a GPU
        names = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
        chosen = next((f"{name}={os.environ[name]}" for name in names if os.environ.get(name)), "")
        reason = first_line(error).partition(" (set JAX_PLATFORMS")[0]
        what = "JAX finds no such device here" if chosen else "JAX finds no device here"
        detail = f" ({reason})" if str(error) else ""
        remedy = (
            "unset it to use the devices of this machine" if chosen else "set JAX_PLATFORMS=cpu"
        )
        raise InputError(
            f"{chosen or 'JAX_PLATFORMS'}: {what}{detail}; "
            f"{remedy}, or install JAX for the device: pip install 'jaxopt-notes[cuda12]'"
        ) from error


def frameworks() -> None:
    """Starts JAX, makes it Keras' backend, and silences TensorFlow's log.

    Raises:
      InputError: as `import_jax` and `devices` do.
    """
    set_environment_default("KERAS_BACKEND", "jax")
    set_environment_default("TF_CPP_MIN_LOG_LEVEL", "3")
    import_jax()
    devices()
