"""`python -m jaxopt_notes.verify`: proves, and can fail."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from jaxopt_notes import conventions
from jaxopt_notes.verification import proof
from jaxopt_notes.verification.mutants import mutants
from jaxopt_notes.verification.settings import kind, settings
from jaxopt_notes.verify import PROVED, main


def test_proves_and_writes_a_certificate(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "new" / "folder"
    options = ["--optimizer", "sgd", "--oracle", "optax", "--dtype", "float32", "--steps", "5"]
    assert main([*options, "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert "sgd(α(k), momentum=0.8, nesterov=True)" in output
    assert "4 of 4 equal, 0 unequal" in output
    certificate = json.loads((out / "certificate.json").read_text(encoding="utf-8"))
    assert {row["verdict"] for row in certificate["rows"]} == {"equal"}
    assert certificate["rows"][0]["outside_jit"] == 0.0
    assert certificate["versions"]["optax"]
    assert "| sgd(α) | optax | float32 | 0.0 | 0.0 | equal |" in (out / "certificate.md").read_text(
        encoding="utf-8"
    )


def test_an_error_in_a_formula_is_out(capsys: Any) -> None:
    error = next(m for m in mutants() if m.error == "Nesterov ignored")
    with error.in_place():
        assert main(["--optimizer", "sgd", "--oracle", "optax", "--quick", "--steps", "5"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [("OUT" in line) for line in lines[2:-1]] == [False, False, False, True]
    assert lines[-1].startswith("3 of 4 equal, 1 unequal")


@pytest.mark.parametrize(
    ("oracle", "name"), [("torch", "torch.sgd"), ("tensorflow", "tensorflow1.momentum")]
)
def test_an_oracle_that_is_not_installed_is_skipped_by_name(oracle: str, name: str) -> None:
    table = [s for s in settings() if s.name == name][:1]
    without = {"optax": "1", "torch": None, "keras": None, "tensorflow": None}
    with patch.object(proof, "installed", lambda: without):
        rows = list(proof.check(table, [oracle], proof.DTYPES, 5))
    reason = f"skipped: {oracle} is not installed (jaxopt-notes[{oracle}])"
    assert [row.verdict for row in rows] == [reason]
    assert not rows[0].out


@pytest.mark.slow
def test_every_mutant_is_caught() -> None:
    table = mutants()
    assert len(table) >= 20
    assert {kind(m.setting) for m in table} == set(PROVED)
    missed = [c for c in proof.hunt(table, ["equation"], 20) if c.out]
    assert not missed


def test_a_mutant_that_nobody_sees_is_missed(capsys: Any) -> None:
    harmless = mutants()[0]
    harmless = harmless._replace(wrong=harmless.right)
    with patch("jaxopt_notes.verification.mutants.mutants", lambda: [harmless]):
        assert main(["--mutate", "--oracle", "equation", "--steps", "5"]) == 1
    assert "0 of 1 mutants caught" in capsys.readouterr().out


def test_every_optimizer_has_every_dtype_and_oracle() -> None:
    for name in PROVED:
        oracles = {oracle for s in settings() if kind(s) == name for oracle in s.oracles}
        elsewhere = {f for f in ("torch", "keras") if hasattr(getattr(conventions, f), name)}
        assert {"optax", "equation"} | elsewhere <= oracles, name


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--optimizer", "lamb"], "--optimizer lamb: is unknown; pass one of sgd, momentum"),
        (["--oracle", "jax"], "--oracle jax: is unknown; pass one of optax"),
        (["--dtype", "int8"], "--dtype int8: is unknown; pass one of float32"),
        (["--steps", "1"], "--steps 1: is too few; pass at least 2"),
        (["--steps", "many"], "--steps: invalid int value: 'many'"),
        (["--wrong"], "--wrong: is not an option; --help lists all options"),
        (["--out", __file__], "cannot be a folder"),
        (["--out", f"{__file__}/below"], "cannot be a folder"),
        (["--optimizer", "momentum", "--oracle", "torch"], "nothing to prove"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(options: list[str], says: str, capsys: Any) -> None:
    assert main(options) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert says in message
    assert message.count("\n") == 1


def test_help_needs_no_jax() -> None:
    code = (
        "import sys; from jaxopt_notes.verify import build_parser; build_parser().format_help(); "
        "sys.exit('jax' in sys.modules)"
    )
    began = time.perf_counter()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert time.perf_counter() - began < 2  # 0.05 s on a quiet machine
