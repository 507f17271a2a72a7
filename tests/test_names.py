"""No name leaves open what it stands for: things have nouns, and functions have verbs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("jaxopt_notes", "tests", "benchmarks", "docs", "scripts")
VAGUE = {"found", "told", "said", "given", "kept", "theirs"}


def new_names(source: str) -> Iterator[str]:
    """The variables, arguments, attributes, functions and classes that a source introduces."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(name, ast.Store()) | ast.Attribute(_, name, ast.Store()):
                yield name
            case ast.FunctionDef(name) | ast.ClassDef(name) | ast.arg(name):
                yield name
            case ast.alias(_, str(name)) | ast.ExceptHandler(_, str(name)):
                yield name
            case ast.MatchAs(_, str(name)):
                yield name


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_is_vague(folder):
    word = re.compile(rf"\b({'|'.join(VAGUE)})\b")
    vague = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in (ROOT / folder).rglob("*.py")
        if word.search(source := file.read_text(encoding="utf-8"))
        for name in VAGUE.intersection(new_names(source))
    }
    assert not vague, "call each thing what it is, such as `rows` or `message`"


@pytest.mark.parametrize(
    "source",
    [
        "kept = 1",
        "for said in []: pass",
        "def f(*, told): pass",
        "lambda found: 0",
        "def given(): pass",
        "class Rows:\n    kept: int",
        "self.kept = 1",
        "import x as theirs",
        "[y for kept in z]",
        "try: pass\nexcept ValueError as told: pass",
        "match x:\n    case [found]: pass",
    ],
)
def test_every_way_to_introduce_a_name_is_seen(source):
    assert VAGUE.intersection(new_names(source))


def test_a_name_of_another_package_is_not_ours():
    source = "from hypothesis import given\n@given(x.kept)\ndef f(): pass"
    assert not VAGUE.intersection(new_names(source))
