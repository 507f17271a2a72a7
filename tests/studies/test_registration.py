"""The hash of a rule is fixed before its study runs, and tells whether a run followed the rule."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from jaxopt_notes.studies import claims, registration, study
from jaxopt_notes.studies.__main__ import main

REPORT = Path(__file__).parents[2] / "docs" / "studies"


@pytest.mark.parametrize("name", study.names())
def test_the_registered_rules_are_those_of_the_code(name: str) -> None:
    wanted = registration.rule_hash(name, study.about(name).setting)
    assert registration.registered()[name] == wanted, (
        "a rule or a setting has changed: run `python -m jaxopt_notes.studies register`, commit, "
        "and only then run the study again"
    )


@pytest.mark.parametrize("name", study.names())
def test_the_committed_results_ran_under_the_registered_rules(name: str) -> None:
    result = json.loads((REPORT / name / "result.json").read_text(encoding="utf-8"))
    assert result["ran_under"] == registration.registered()[name] == result["registered"]
    assert result["registration"] == "same"


def altered(source: str, tmp_path: Path) -> Any:
    path = tmp_path / "other.py"
    path.write_text(source, encoding="utf-8")
    study.about.cache_clear()
    return patch.object(study, "find_spec", lambda name: SimpleNamespace(origin=str(path)))


def hash_of(source: str, tmp_path: Path) -> str:
    try:
        with altered(source, tmp_path):
            return registration.rule_hash("ravine", study.about("ravine").setting)
    finally:
        study.about.cache_clear()


def test_the_hash_changes_with_the_rule_and_not_with_the_words(tmp_path: Path) -> None:
    source = (Path(claims.__path__[0]) / "ravine.py").read_text(encoding="utf-8")
    original_hash = hash_of(source, tmp_path)
    assert original_hash == registration.rule_hash("ravine", study.about("ravine").setting)
    for old, new in (
        ('"gain": 0.25', '"gain": 0.2'),  # a threshold
        ('"beta": 0.9', '"beta": 0.8'),  # the setting
        ("else DEPENDS if ever", "else DEPENDS if always"),  # the code of the verdict
        ("at every κ", "at most κ"),  # the rule's text
        ('kind="comparison"', 'kind="advice"'),
    ):
        assert old in source
        assert hash_of(source.replace(old, new), tmp_path) != original_hash, old
    for old, new in (
        ("With β = 0.9, SGD needs", "SGD needs"),  # what the verdict says
        ("Momentum pays from", "It pays from"),  # a picture's title
    ):
        assert old in source
        assert hash_of(source.replace(old, new), tmp_path) == original_hash, old


def test_a_run_says_whether_its_rule_is_the_registered_one() -> None:
    with patch.object(registration, "registered", lambda: {"ravine": "abc"}):
        assert registration.status("ravine", "abc") == "same"
        assert registration.status("ravine", "def") == "differs"
        assert registration.status("ravine", None) == "before"
        assert registration.status("saddle", "abc") == "differs"


def test_register_writes_every_study_s_hash(tmp_path: Path, capsys: Any) -> None:
    with patch.object(registration, "FILE", tmp_path / "registered.json"):
        assert registration.registered() == {}
        assert main(["register"]) == 0
        assert set(registration.registered()) == set(study.names())
    assert capsys.readouterr().out == f"wrote {tmp_path / 'registered.json'}\n"
    with patch.object(registration, "FILE", tmp_path / "no" / "folder" / "registered.json"):
        assert main(["register"]) == 2
    assert "cannot be written" in capsys.readouterr().err
