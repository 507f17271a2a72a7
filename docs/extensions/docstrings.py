"""Docstrings are plain text: what reStructuredText would take for its own is kept from it.

`m_t` is no link, `|x|` no substitution and `*` no emphasis. A name in backticks is code, and a link
where the reference has the name. Equations are typeset, and other indented blocks are code.
"""

import re
from typing import Any

from equations import latex, typeset
from sphinx.application import Sphinx

CODE = re.compile(r"``.+?``|`[^`]+`", re.DOTALL)
NAME = re.compile(r"[A-Za-z_][\w.]*")
SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields):$")


def _plain(text: str) -> str:
    return re.sub(r"([*|_\\`])", r"\\\1", text)


def _code(text: str) -> str:
    return f":py:obj:`{text}`" if NAME.fullmatch(text) else f"``{text}``"


def _paragraph(text: str) -> str:
    """Lines of text: names in backticks as code, equations typeset, the rest as it is."""
    parts, at = [], 0
    for code in CODE.finditer(text):
        name = " ".join(code.group().strip("`").split())
        parts += [_prose(text[at : code.start()]), _code(name)]
        at = code.end()
    return "".join([*parts, _prose(text[at:])])


def _prose(text: str) -> str:
    return "".join(
        f"\\ :math:`{latex(part)}`\\ " if equation else _plain(part)
        for part, equation in typeset(text)
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block(lines: list[str]) -> list[str]:
    """An indented block: its equations if it has nothing else, or code."""
    if all(latex(line.strip(" ,.")) for line in lines):
        return [
            text for x in lines for text in (".. math::", "", f"   {latex(x.strip(' ,.'))}", "")
        ]
    return ["::", "", *lines, ""]


def rewritten(lines: list[str]) -> list[str]:
    """The docstring as reStructuredText, before its sections are made of it."""
    result: list[str] = []
    i, section = 0, False
    while i < len(lines):
        line = lines[i]
        end = i + 1
        section = bool(SECTION.match(line)) or (section and (not line or _indent(line) > 0))
        if not line.strip():
            result.append(line)
        elif line.lstrip().startswith(">>>"):  # an example, up to the next empty line
            while end < len(lines) and lines[end].strip():
                end += 1
            result += lines[i:end]
        elif _indent(line) >= 4 and not section and not lines[i - 1].strip():
            while end < len(lines) and (_indent(lines[end]) >= 4 or not lines[end].strip()):
                end += 1
            block = lines[i:end]
            while not block[-1].strip():
                block.pop()
            result += _block(block)
        else:
            while end < len(lines) and lines[end].strip() and ">>>" not in lines[end]:
                if SECTION.match(lines[end]):
                    break
                end += 1
            result += _paragraph("\n".join(lines[i:end])).split("\n")
        i = end
    return result


def _rewrite(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    lines[:] = rewritten(lines)


def _skip(_app: Any, _what: str, _name: str, value: Any, skip: bool, _options: Any) -> bool | None:
    """The fields of a NamedTuple stand in its docstring."""
    return True if type(value).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> dict[str, bool]:
    # Before napoleon, which makes sections of them.
    app.connect("autodoc-process-docstring", _rewrite, priority=400)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
