"""What pages name by HTML of their own is copied as it is: pictures, and the studies' pages.

In the copies, a link of a study to its program leads to the page with the source, and each page has
a link back to the site: on disk, beside the sources, there is no site to go back to.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

FOLDERS = ("pictures", "studies")
ENDINGS = (".html", ".png", ".svg", ".json", ".csv")
PROGRAM = re.compile(r'href="((?:\.\./)+)\.\./(jaxopt_notes/[^"]+\.py)"')

BACK = (
    '<p><a lang="en" href="{root}gallery.html">← Documentation of jaxopt_notes</a>'
    '<a lang="zh-CN" href="{root}gallery.zh-CN.html">← jaxopt_notes 文档</a></p>'
)


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


def _within_site(page: str, file: Path) -> str:
    """A study's page with links that lead to the site around it."""
    page = PROGRAM.sub(r'href="\1source/\2.html"', page)
    if file.parts[0] != "studies":
        return page
    before = '<nav class="contents">' if '<nav class="contents">' in page else "<body>"
    return page.replace(before, before + BACK.format(root="../" * len(file.parts[:-1])), 1)


def _copy(app: Sphinx, failure: Exception | None) -> None:
    for file in [] if failure else files(app.srcdir):
        copy = app.outdir / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".html":
            copy.write_text(_within_site((app.srcdir / file).read_text("utf-8"), file), "utf-8")
        else:
            shutil.copyfile(app.srcdir / file, copy)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", _copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
