"""No public optimizer without its proof, its place in the tables, and its command."""

import inspect
from pathlib import Path

import pytest

import jaxopt_notes
from jaxopt_notes import optimizers
from jaxopt_notes.config import optimizers as config
from jaxopt_notes.verification.frameworks import FRAMEWORKS
from jaxopt_notes.verification.mutants import mutants
from jaxopt_notes.verification.settings import settings
from jaxopt_notes.verify import PROVED
from tests.equality.cases import CASES

ROOT = Path(__file__).parents[2]
# Adam until T, SGD from then on: tests/optimizers prove it against the two optimizers themselves.
PROVED_ELSEWHERE = {"adam_to_sgd"}


def public_optimizers() -> list[str]:
    """The public functions that take a learning rate and make a whole optimizer."""

    def first_argument(name: str) -> str:
        return next(iter(inspect.signature(getattr(optimizers, name)).parameters), "")

    return [
        name
        for name in optimizers.__all__
        if first_argument(name) == "learning_rate" and not name.startswith("scale_by")
    ]


def test_the_optimizers_are_told_from_the_other_public_functions() -> None:
    assert {"sgd", "adam", "lion", "adam_to_sgd"} <= set(public_optimizers())
    assert not {"trace", "packed", "scale_by_learning_rate"} & set(public_optimizers())


@pytest.mark.parametrize("name", public_optimizers())
def test_a_public_optimizer_has_its_place_everywhere(name: str) -> None:
    assert getattr(jaxopt_notes, name) is getattr(optimizers, name)
    assert name.replace("_", "-") in config.OPTIMIZERS, "a row of config.optimizers.OPTIMIZERS"
    for readme in ("README.md", "README.zh-CN.md"):
        assert f"`{name}(α" in (ROOT / readme).read_text(encoding="utf-8"), f"the table in {readme}"
    if name in PROVED_ELSEWHERE:
        return
    assert name in PROVED, "python -m jaxopt_notes.verify"
    assert f"optax.{name}" in FRAMEWORKS, "an equation in verification.frameworks"
    assert [s for s in settings() if s.name == f"optax.{name}"], "settings to prove"
    assert [m for m in mutants() if m.setting.name == f"optax.{name}"], "a wrong formula"
    assert [case for case in CASES if case.optimizer == name], "tests/equality"
