"""The extras of the package: the modules that each installs, and the error for a missing one.

`pip install jaxopt-notes` installs JAX, optax and NumPy. Code that needs more modules first
calls `require`.
Needs only the standard library: `--help` must be quick.
"""

from importlib.util import find_spec

from jaxopt_notes.errors import MissingExtraError

# Extra → those of its modules that this package imports. pyproject.toml has their versions.
EXTRAS = {
    "train": (
        *("flax", "orbax.checkpoint", "flatbuffers", "tensorflow_datasets"),
        *("importlib_resources", "PIL", "requests", "tqdm"),
    ),
    "plots": ("matplotlib",),
    "tensorboard": ("tensorboardX",),
    "onnx": ("jax2onnx",),
    "microscope": ("sympy",),
    "torch": ("torch",),
    "safetensors": ("safetensors",),
}
_PACKAGES = {
    "orbax.checkpoint": "orbax-checkpoint",
    "tensorflow_datasets": "tensorflow-datasets",
    "PIL": "pillow",
}


def installed(module: str) -> bool:
    """Whether a module can be imported. To test a submodule, imports the package around it.

    >>> installed("json"), installed("no_such_module"), installed("no_such_module.inside")
    (True, False, False)
    """
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def require(user: str, extra: str, *modules: str) -> None:
    """Raises an error unless the modules of an extra are installed.

    Args:
      user: what needs the modules, as the message names it: a command, an option or a module.
      extra: the extra to install.
      *modules: the modules needed; by default all modules of the extra.

    Raises:
      MissingExtraError: a module is not installed. It is an `InputError` and an `ImportError`.

    >>> require("dance", "shoes", "json", "tap_shoes")
    Traceback (most recent call last):
        ...
    jaxopt_notes.errors.MissingExtraError: dance needs tap_shoes, which is not installed; pip ...
    """
    for module in modules or EXTRAS[extra]:
        if not installed(module):
            package = _PACKAGES.get(module, module)
            raise MissingExtraError(
                f"{user} needs {package}, which is not installed; "
                f"pip install 'jaxopt-notes[{extra}]'"
            )
