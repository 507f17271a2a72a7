"""What was fixed before a study ran: its rule and its setting, hashed into registered.json.

The hash covers the code of `verdict` without its words, the thresholds, the rule's text and the
setting. `python -m jaxopt_notes.studies register` writes the file; the repository's history shows
whether it was committed before the results. Each result.json carries the hash under which it was
measured, so that a rule altered afterwards shows.
"""

import ast
import hashlib
import json
from pathlib import Path
from typing import Any

from jaxopt_notes import files
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.studies import study

FILE = Path(__file__).parent / "registered.json"

SAME, DIFFERS, BEFORE = "same", "differs", "before"


def rule_hash(name: str, setting: dict[str, Any]) -> str:
    """Which rule judges a study in a setting: sixteen hexadecimal digits."""
    about = study.about(name)
    fixed = [_code(name), about.kind, about.threshold, about.rules()[0], setting]
    text = json.dumps(fixed, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def registered() -> dict[str, str]:
    """The hash that each study has in registered.json."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def register() -> Path:
    """Writes registered.json: every study's rule and whole setting, as they are now.

    Raises:
      InputError: the file cannot be written.
    """
    hashes = {name: rule_hash(name, study.about(name).setting) for name in study.names()}
    try:
        files.write_json(FILE, hashes)
    except OSError as error:
        raise InputError(f"register: {FILE} cannot be written: {first_line(error)}") from None
    return FILE


def status(name: str, ran_under: str | None) -> str:
    """SAME, DIFFERS, or BEFORE where the study ran when no rule was registered."""
    if ran_under is None:
        return BEFORE
    return SAME if registered().get(name) == ran_under else DIFFERS


class _Wordless(ast.NodeTransformer):
    """Leaves out what a verdict says: Python's versions spell these strings each in its own way."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.copy_location(ast.Constant(""), node)


def _code(name: str) -> str:
    function = study.function(name, "verdict")
    return ast.unparse(_Wordless().visit(function))
