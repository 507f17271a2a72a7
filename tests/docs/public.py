"""The public names of the package, which the reference lists."""

import ast
import importlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
# A module with `__all__` has these names; another has those that it defines or passes on.
MODULES = (
    "jaxopt_notes",
    "jaxopt_notes.aot.compiler",
    "jaxopt_notes.aot.targets",
    "jaxopt_notes.conventions",
    "jaxopt_notes.conventions.keras",
    "jaxopt_notes.conventions.notes",
    "jaxopt_notes.conventions.tensorflow1",
    "jaxopt_notes.conventions.torch",
    "jaxopt_notes.data",
    "jaxopt_notes.losses",
    "jaxopt_notes.microscope",
    "jaxopt_notes.models",
    "jaxopt_notes.transfer",
)


def names(module: str) -> list[str]:
    """The public names of a module that have a docstring of their own."""
    made = importlib.import_module(module)
    listed = getattr(made, "__all__", None) or _defined(Path(made.__file__ or ""))
    return [name for name in listed if callable(getattr(made, name))]


def _defined(file: Path) -> list[str]:
    defined_names = []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined_names.append(node.name)
        elif isinstance(node, ast.ImportFrom):
            defined_names += [alias.name for alias in node.names if alias.asname == alias.name]
    return [name for name in defined_names if not name.startswith("_")]


def everything() -> dict[str, Any]:
    """Each public name, with the modules before it, and its value."""
    return {
        f"{module}.{name}": getattr(importlib.import_module(module), name)
        for module in MODULES
        for name in names(module)
    }
