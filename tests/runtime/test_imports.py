"""The process around a computation knows nothing of trainings and runs."""

import ast
from pathlib import Path

import pytest

from jaxopt_notes import runtime

MODULES = sorted(Path(runtime.__file__).parent.glob("*.py"))


def imported(path):
    """The modules that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_runtime_imports_nothing_of_trainings_and_runs(path):
    ours = [name.split(".")[1] for name in imported(path) if name.startswith("jaxopt_notes.")]
    assert set(ours) <= {"config", "errors", "runtime"}
