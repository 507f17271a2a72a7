"""Docstrings are plain text: what reStructuredText would take for its own is kept from it.

`m_t` is no link, `|x|` no substitution and `*` no emphasis; a name in backticks is code.
"""

import re
from typing import Any

from sphinx.application import Sphinx

CODE = re.compile(r"(``.+?``|`[^`]+`)")


def _escaped(line: str) -> str:
    parts = CODE.split(line)
    plain = [re.sub(r"([*|_\\])", r"\\\1", part) for part in parts[::2]]
    code = [f"``{part.strip('`')}``" for part in parts[1::2]]
    return "".join(x for pair in zip(plain, [*code, ""]) for x in pair)


def escape(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Escapes all lines but those of examples."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[i] = _escaped(line)


def setup(app: Sphinx) -> dict[str, bool]:
    # Before napoleon, which makes sections of them.
    app.connect("autodoc-process-docstring", escape, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
