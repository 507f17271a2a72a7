"""No public optimizer without its proof, its place in the tables, and its command."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import optax
import pytest

import jaxopt_notes
from jaxopt_notes import optimizers
from jaxopt_notes.config import optimizers as config
from jaxopt_notes.errors import InputError
from jaxopt_notes.verification.frameworks import FRAMEWORKS, terms
from jaxopt_notes.verification.mutants import Mutant, mutants
from jaxopt_notes.verify import PROVED
from tests.equality.cases import CASES

ROOT = Path(__file__).parents[2]
MODULES = sorted(Path(optimizers.__file__).parent.glob("_[a-z]*.py"))
# Adam until T, SGD from then on: tests/optimizers prove it against the two optimizers themselves.
PROVED_ELSEWHERE = {"adam_to_sgd"}


def public_functions() -> dict[str, Any]:
    """The functions without an underscore in the modules of the optimizers, by their names."""
    modules = (vars(import_module(f"{optimizers.__name__}.{m.stem}")) for m in MODULES)
    return {
        name: value
        for of in modules
        for name, value in of.items()
        if inspect.isfunction(value) and value.__module__ == of["__name__"]
    }


def public_optimizers() -> list[str]:
    """The functions that take a learning rate and make a whole optimizer, and the table's rows."""

    def first_argument(function: Any) -> str:
        return next(iter(inspect.signature(function).parameters), "")

    written = {
        name
        for name, function in public_functions().items()
        if first_argument(function) == "learning_rate" and not name.startswith(("_", "scale_by"))
    }
    return sorted(written | {name.replace("-", "_") for name in config.OPTIMIZERS})


def test_the_optimizers_are_told_from_the_other_public_functions() -> None:
    assert {"sgd", "adam", "lion", "adam_to_sgd"} <= set(public_optimizers())
    assert not {"trace", "packed", "scale_by_learning_rate"} & set(public_optimizers())


@pytest.mark.parametrize("name", public_optimizers())
def test_a_public_optimizer_has_its_place_everywhere(name: str) -> None:
    assert name in optimizers.__all__, "list it in optimizers/__init__.py"
    assert getattr(jaxopt_notes, name) is getattr(optimizers, name)
    assert name.replace("_", "-") in config.OPTIMIZERS, "add a row to config/optimizers.py"
    for page in ("docs/optimizers.md", "docs/optimizers.zh-CN.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert f"`{name}(α" in text, f"add it to the table of {page}"
    if name in PROVED_ELSEWHERE:
        return
    proved = config.OPTIMIZERS[name].proved
    assert {} in proved, "config/optimizers.py: prove it with its defaults, {}"
    assert name in PROVED
    assert f"optax.{name}" in FRAMEWORKS, "add its terms to verification/frameworks.py"
    for keywords in proved:
        terms(f"optax.{name}", keywords)  # each keyword has its letter
    wrong = [m for m in mutants() if m.setting.name == f"optax.{name}"]
    assert wrong, "add a wrong formula to verification/mutants.py"
    assert [case for case in CASES if case.optimizer == name], "tests/equality/cases.py"


@pytest.mark.parametrize(
    "name", [name for name in public_functions() if name.startswith("scale_by")]
)
def test_a_block_is_public_and_compared_with_optaxs(name: str) -> None:
    if hasattr(optax, name):
        assert name in optimizers.__all__, "list it in optimizers/__init__.py"
        assert [case for case in CASES if case.optimizer == name], (
            "add it to tests/equality/cases.py"
        )


@pytest.mark.parametrize("mutant", mutants(), ids=lambda m: f"{m.setting.label}: {m.error}")
def test_the_right_formula_of_each_error_stands_in_the_source(mutant: Mutant) -> None:
    mutant.code()


def test_a_keyword_without_a_term_is_named_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^optax\.adam\(beta=…\): .*add beta=TERM to the row"):
        terms("optax.adam", {"beta": 0.5})
