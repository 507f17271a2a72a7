"""The README's examples run, and what it says of the commands is what CI runs."""

import re
from pathlib import Path

import pytest

from jaxopt_notes import __all__ as public

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(
    "code", EXAMPLES, ids=lambda code: code.split("from jaxopt_notes ")[1][:20]
)
def test_example_runs(code):
    if "import torch" in code:
        pytest.importorskip("torch", reason="needs the extra torch")
    exec(compile(code, "README.md", "exec"), {})


def test_both_flax_manners_are_shown():
    assert any("nnx.Optimizer" in code for code in EXAMPLES)
    assert any("TrainState" in code for code in EXAMPLES)


def test_every_public_name_is_mentioned():
    for name in set(public) - {"__version__"}:
        assert re.search(rf"`{name}[`(]", README), name


def test_ci_runs_the_two_commands():
    """Line by line, in that order; CI adds only where the run goes."""
    commands = re.search(r"```sh\n(.*?)```", README, re.DOTALL)[1].splitlines()
    first, second = (line.split("#")[0].strip().split(" && ") for line in commands)
    script = (ROOT / ".ci" / "run").read_text()
    places = [
        script.index(command.replace("pip install", "pip install --quiet"))
        for command in (*first, *second)
    ]
    assert places == sorted(places)


def test_files_it_links_to_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
