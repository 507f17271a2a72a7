"""Writes a page about a machine's results: Markdown, and HTML that needs no other file."""

import base64
import html
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import figures, machine
from jaxopt_notes import files

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 0.9rem; }
th, td { border: 1px solid #8888; padding: 0.2rem 0.6rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; background: white; }
code { background: #8882; padding: 0.1rem 0.3rem; }
"""
QUICK = (
    "These are short runs with few rounds and little data. The committed results come from "
    "full runs, so compare with care. Whole trainings are comparable only if both saw the same "
    "number of images."
)


class Section(NamedTuple):
    """A benchmark on the page.

    Attributes:
      name: the name of its JSON and picture.
      line: what it measures.
      command: the command that runs it.
      printed: its output; empty where it measured nothing.
      failed: why it failed or was cut short.
    """

    name: str
    line: str
    command: str
    printed: str = ""
    failed: str = ""


def write(
    folder: Path, here: dict[str, Any], sections: Sequence[Section], committed: Path, quick: bool
) -> Path:
    """Writes benchmarks.md and benchmarks.html into a folder of results; returns the HTML's path.

    Args:
      folder: the folder of the sections' JSON and pictures.
      here: the machine.
      sections: the results.
      committed: a folder with a folder of results for each machine to compare with.
      quick: whether these are quick runs.
    """
    others = {each.name: each for each in sorted(committed.glob("*/")) if each != folder}
    text = markdown(folder, here, sections, others, quick)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / "benchmarks.md", text)
    files.write_text(folder / "benchmarks.html", as_html(text, folder))
    return folder / "benchmarks.html"


def markdown(
    folder: Path,
    here: dict[str, Any],
    sections: Sequence[Section],
    others: dict[str, Path],
    quick: bool,
) -> str:
    """The page as Markdown."""
    done = [each for each in sections if each.printed]
    failed = [
        f"**{each.name}** {'is incomplete' if each.printed else 'was not measured'}: {each.failed}"
        for each in sections
        if each.failed
    ]
    table = figures.side_by_side({"this machine": folder, **others}, [each.name for each in done])
    parts = [
        f"# Benchmarks of jaxopt_notes on {machine.folder_name(here)}",
        machine.header(here),
        *([QUICK] if quick else []),
        *failed,
        "## This machine compared with the committed results",
        "Ratios below 1: ours takes less time.",
        table,
    ]
    for each in done:
        parts += [f"## {each.name}: {each.line}", f"`{each.command}`"]
        # The first line names the machine and the last one the files.
        parts += _paragraphs(each.printed.splitlines()[1:-1])
        if (folder / f"{each.name}.png").exists():
            parts.append(f"![{each.name}]({each.name}.png)")
    return "\n\n".join(parts) + "\n"


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    """A paragraph for each line; tables stay whole."""
    for is_table, group in groupby(lines, lambda line: line.startswith("|")):
        if is_table:
            yield "\n".join(group)
        else:
            yield from (line for line in group if line.strip())


def as_html(text: str, folder: Path) -> str:
    """The Markdown of `markdown` as HTML, with the folder's pictures embedded."""
    title, *blocks = text.strip().split("\n\n")
    title = html.escape(title.removeprefix("# "))
    body = "\n".join(_block(block, folder) for block in blocks)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<style>{STYLE}</style>\n<h1>{title}</h1>\n{body}\n</html>\n"
    )


def _block(block: str, folder: Path) -> str:
    if block.startswith("## "):
        return f"<h2>{_inline(block[3:])}</h2>"
    if block.startswith("|"):
        head, _, *rows = [line.strip("|").split("|") for line in block.splitlines()]
        return f"<table>{_row(head, 'th')}{''.join(_row(row, 'td') for row in rows)}</table>"
    if picture := re.fullmatch(r"!\[(.*)\]\((.*)\)", block):
        data = base64.b64encode((folder / picture[2]).read_bytes()).decode()
        return f'<p><img alt="{picture[1]}" src="data:image/png;base64,{data}"></p>'
    return f"<p>{_inline(block)}</p>"


def _row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{_inline(cell.strip())}</{tag}>' for cell in cells)}</tr>"


def _inline(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(text))
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)
