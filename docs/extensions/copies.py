"""What pages name by HTML of their own is copied as it is: pictures, and the studies' pages.

A link of a study to its program leads to the page with the source.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

FOLDERS = ("pictures", "studies")
ENDINGS = (".html", ".png", ".svg", ".json", ".csv")
PROGRAM = re.compile(r'href="((?:\.\./)+)\.\./(jaxopt_notes/[^"]+\.py)"')


def files(docs: Path) -> Iterator[Path]:
    """The files to copy, seen from docs."""
    for folder in FOLDERS:
        for path in sorted((docs / folder).rglob("*")):
            if path.suffix in ENDINGS:
                yield path.relative_to(docs)


def programs(docs: Path) -> set[str]:
    """The programs that the studies' pages link to."""
    pages = [docs / file for file in files(docs) if file.suffix == ".html"]
    return {match[1] for page in pages for match in PROGRAM.findall(page.read_text("utf-8"))}


def _copy(app: Sphinx, failure: Exception | None) -> None:
    for file in [] if failure else files(app.srcdir):
        copy = app.outdir / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".html":
            text = (app.srcdir / file).read_text("utf-8")
            copy.write_text(PROGRAM.sub(r'href="\1source/\2.html"', text), "utf-8")
        else:
            shutil.copyfile(app.srcdir / file, copy)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", _copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
