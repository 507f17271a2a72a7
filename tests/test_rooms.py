"""The package's rooms import each other in one direction only."""

import ast
from pathlib import Path

import jaxopt_notes

ROOT = Path(jaxopt_notes.__file__).parent
# Each room may import the rooms of the lines above its own.
ORDER = [
    {"errors"},
    {"extras", "files", "losses", "optimizers", "places", "runtime"},
    {"command", "conventions", "data", "models"},
    {"config"},
    {"verification"},
    {"microscope"},
    {"transfer"},
    {"training"},
    {"runs"},
    {"aot", "inference", "studies"},
    {"exchange"},
    {"compare", "convert", "diagnose", "explain", "export"},
    {"identify", "predict", "train", "verify"},
    {"__main__"},
]
LEVEL = {room: i for i, rooms in enumerate(ORDER) for room in rooms}


def imports(file: Path) -> set[str]:
    """The rooms that a file imports, anywhere in it."""
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxopt_notes"):
            path = node.module.split(".")[1:]
            rooms |= {path[0]} if path else {alias.name for alias in node.names}
    return rooms - {"__version__"}


def test_every_room_has_its_place():
    rooms = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert set(LEVEL) == rooms - {"__init__"}


def test_imports_point_one_way():
    backwards = {
        f"{file.relative_to(ROOT)} imports {there}"
        for file in ROOT.rglob("*.py")
        if (here := file.relative_to(ROOT).with_suffix("").parts[0]) != "__init__"
        for there in imports(file) - {here}
        if LEVEL[there] >= LEVEL[here]
    }
    assert not backwards
