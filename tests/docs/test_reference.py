"""The reference has every public name, and each has an example that runs."""

import doctest
import inspect
import re
import sys
from importlib.util import find_spec

import pytest

from tests.docs.public import REFERENCE, everything

DIRECTIVE = re.compile(r"^\.\. (py:module|auto\w+):: ([\w.]+)", re.MULTILINE)
PUBLIC = everything()
# The same function under two names has one entry.
SEEN_TWICE = {"jaxopt_notes.translate", "jaxopt_notes.translate_state"}
FRAMEWORKS = ("torch", "keras")


def listed() -> list[str]:
    """The names that the pages of the reference have an entry for."""
    entries = []
    for page in sorted(REFERENCE.glob("*.md")):
        module = ""
        for kind, name in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            if kind in ("py:module", "automodule"):
                module = name
            else:
                entries.append(f"{module}.{name}")
    return entries


def frameworks_of(value: object) -> list[str]:
    """The frameworks that the examples of a docstring import."""
    text = inspect.getdoc(value) or ""
    return [name for name in FRAMEWORKS if re.search(rf">>> import .*\b{name}\b", text)]


def test_the_reference_lists_every_public_name():
    assert set(PUBLIC) - SEEN_TWICE - set(listed()) == set()


def test_no_name_is_listed_twice():
    assert sorted(listed()) == sorted(set(listed()))


def test_each_public_name_has_an_example():
    without = [name for name, value in PUBLIC.items() if ">>>" not in (inspect.getdoc(value) or "")]
    assert without == []


def test_only_examples_of_a_framework_are_skipped_by_the_doctests():
    skipped = [name for name, x in PUBLIC.items() if "+SKIP" in (inspect.getdoc(x) or "")]
    assert [name for name in skipped if not frameworks_of(PUBLIC[name])] == [
        "jaxopt_notes.transfer.as_tensors"
    ]


@pytest.mark.slow  # they start torch and Keras
@pytest.mark.parametrize("name", [n for n, x in PUBLIC.items() if "+SKIP" in (x.__doc__ or "")])
def test_examples_with_another_framework_run(name, monkeypatch):
    value = PUBLIC[name]
    for framework in frameworks_of(value) or ["torch"]:
        if not find_spec(framework):
            pytest.skip(f"needs {framework}")
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # where Keras is not imported yet
    module = sys.modules[value.__module__]
    text = value.__doc__.replace("# doctest: +SKIP", "")
    test = doctest.DocTestParser().get_doctest(text, vars(module).copy(), name, None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False)
    assert test.examples
    assert runner.run(test).failed == 0
