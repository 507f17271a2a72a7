"""Optimizers as notes: each equation in one file, proved equal to optax's.

The names below are imported on first use, so that `import jaxopt_notes` costs nothing and a command
can answer `--help` without JAX. So are the modules `jaxopt_notes.conventions`, `.losses`,
`.microscope`, `.optimizers` and `.models`; `.models` needs the extra `train`:

>>> import jaxopt_notes
>>> jaxopt_notes.losses.entropy.__name__
'entropy'
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from jaxopt_notes import conventions as conventions
    from jaxopt_notes import losses as losses
    from jaxopt_notes import microscope as microscope
    from jaxopt_notes import models as models
    from jaxopt_notes import optimizers as optimizers
    from jaxopt_notes.conventions import translate as translate
    from jaxopt_notes.conventions import translate_state as translate_state
    from jaxopt_notes.optimizers import *  # noqa: F403

# Not in `__all__`, because `from jaxopt_notes import *` must work without the extra `train`.
_PACKAGES = ("conventions", "losses", "microscope", "models", "optimizers")
_FROM_CONVENTIONS = ("translate", "translate_state")


def __getattr__(name: str) -> Any:
    if find_spec(f"jaxopt_notes.{name}"):
        return import_module(f"jaxopt_notes.{name}")
    if name.startswith("__") and name != "__all__":  # Python looks up special names
        raise AttributeError(f"module 'jaxopt_notes' has no attribute {name!r}")
    public = _optimizers().__all__  # the list of public names
    if name == "__all__":
        value: Any = sorted(["__version__", *public, *_FROM_CONVENTIONS])
    elif name in _FROM_CONVENTIONS:
        value = getattr(import_module("jaxopt_notes.conventions"), name)
    elif name in public:
        value = getattr(_optimizers(), name)
    else:
        raise AttributeError(f"module 'jaxopt_notes' has no attribute {name!r}")
    globals()[name] = value
    return value


def _optimizers() -> Any:
    return import_module("jaxopt_notes.optimizers")


def __dir__() -> list[str]:
    return sorted([*__getattr__("__all__"), *_PACKAGES])
