"""Links out of docs/ lead to pages of the site, which show the repository's files.

A page links to `../jaxopt_notes/optimizers/_adam.py`, as it must to work where the repository is
browsed. The site has each file so linked as a page with its source, and each folder as a list. So
the site works from a disk and from any host, shows the code that it describes, and needs no address
of a repository. `[source]` in the reference leads to the same pages.
"""

import inspect
import shutil
import sys
from collections.abc import Iterator
from html import escape
from os.path import normpath
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from copies import programs
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[2]
# Files of the repository that are pages of the site: the pages include them.
PAGES = {
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "README.md": "index",
    "README.zh-CN.md": "index.zh-CN",
    "benchmarks/README.md": "benchmarks",
    "docs/README.md": "index",
    "docs/README.zh-CN.md": "index.zh-CN",
}
PICTURES = (".png", ".svg")
LEXERS = {".py": "python", ".js": "javascript", ".json": "json", ".md": "markdown"}


def page_of(path: str) -> str:
    """The name of the page for a file or folder of the repository."""
    return f"source/{path}"


def target_of(node: addnodes.pending_xref | addnodes.download_reference) -> Path | None:
    """The file or folder that a link of a Markdown page names, if there is one."""
    target = unquote(node["reftarget"])
    here = Path(node.document.settings.env.doc2path(node.document.settings.env.docname)).parent
    if node.get("refdomain") == "doc":  # MyST has cut the ending off
        here, target = ROOT / "docs", f"{target}.md"
    docname = node.document.settings.env.docname
    included = [ROOT / file for file, page in PAGES.items() if page == docname]
    for folder in (here, *(file.parent for file in included)):
        path = Path(normpath(folder / target.split("#")[0]))
        if path.exists() and path.is_relative_to(ROOT):
            return path
    return None


class LinksToSources(SphinxTransform):
    """Points links to files of the repository at their pages."""

    default_priority = 200

    def apply(self, **_: Any) -> None:
        """Replaces the nodes that MyST made for such links."""
        for node in list(self.document.findall(self._is_link)):
            path = target_of(node)
            if path is None or path == ROOT / "docs":
                continue
            inside = path.relative_to(ROOT).as_posix()
            if inside.startswith("docs/studies/"):
                uri = self._study(inside.removeprefix("docs/"))
            elif inside in PAGES:
                uri = self.app.builder.get_relative_uri(self.env.docname, PAGES[inside])
            elif path.suffix == ".md" and inside.startswith("docs/"):
                continue  # a page, which MyST links to
            else:
                self._shown().add(inside)
                ending = "" if path.suffix in PICTURES else ".html"
                uri = self._from_here(page_of(inside) + ending)
            link = nodes.reference("", "", *node.children[0].children, internal=True, refuri=uri)
            if isinstance(node.children[0], nodes.literal):
                link.children = [nodes.literal("", node.children[0].astext())]
            node.replace_self(link)

    def _study(self, path: str) -> str:
        """A page of the studies, in the language of the page that links to it."""
        page = path.replace("README.zh-CN.md", "index.html").replace("README.md", "index.html")
        chinese = self.env.docname.endswith(".zh-CN") and page.endswith(".html")
        return self._from_here(page) + ("?lang=zh" if chinese else "")

    @staticmethod
    def _is_link(node: nodes.Node) -> bool:
        kinds = (addnodes.pending_xref, addnodes.download_reference)
        return isinstance(node, kinds) and node.get("refdomain") in (None, "doc")

    def _from_here(self, path: str) -> str:
        return "../" * self.env.docname.count("/") + path

    def _shown(self) -> set[str]:
        return shown_by(self.app).setdefault(self.env.docname, set())


def shown_by(app: Sphinx) -> dict[str, set[str]]:
    """Page → the files that it links to."""
    if not hasattr(app.env, "sources_shown"):
        app.env.sources_shown = {}
    return app.env.sources_shown


def linkcode_resolve(_domain: str, info: dict[str, str]) -> str | None:
    """Where a documented name stands, seen from the pages of docs/reference."""
    value: Any = sys.modules.get(info["module"])
    for part in info["fullname"].split("."):
        value = inspect.unwrap(getattr(value, part, None))
    try:
        file, (_, line) = inspect.getsourcefile(value), inspect.getsourcelines(value)
    except TypeError:
        return None
    path = Path(file or "").resolve()
    if not path.is_relative_to(ROOT):
        return None
    inside = path.relative_to(ROOT).as_posix()
    DOCUMENTED.add(inside)
    return f"../{page_of(inside)}.html#line-{line}"


DOCUMENTED: set[str] = set()


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each file linked to, and for each file of a folder linked to."""
    linked = set().union(DOCUMENTED, programs(Path(app.srcdir)), *shown_by(app).values())
    files = {name for name in linked if (ROOT / name).is_file()}
    for folder in sorted(linked - files):
        inside = sorted(p for p in (ROOT / folder).iterdir() if _worth_showing(p))
        files.update(p.relative_to(ROOT).as_posix() for p in inside)
        yield page_of(folder), {"title": folder, "body": _listing(folder, inside)}, "page.html"
    for name in sorted(files):
        if name.endswith(PICTURES):
            copy = Path(app.outdir, page_of(name))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)
        else:
            yield page_of(name), {"title": name, "body": _source(app, name)}, "page.html"


def _worth_showing(path: Path) -> bool:
    return path.is_file() and path.suffix in (*LEXERS, *PICTURES)


def _listing(folder: str, files: list[Path]) -> str:
    rows = []
    for name in (path.name for path in files):
        uri = f"{Path(folder).name}/{name}"
        if name.endswith(PICTURES):
            rows.append(f'<p><img src="{uri}" alt="{escape(name)}"></p>')
        else:
            rows.append(f'<p><a href="{uri}.html">{escape(name)}</a></p>')
    return f"<h1>{escape(folder)}</h1>\n{chr(10).join(rows)}"


def _source(app: Sphinx, name: str) -> str:
    text = (ROOT / name).read_text(encoding="utf-8")
    lexer = LEXERS.get(Path(name).suffix, "text")
    code = app.builder.highlighter.highlight_block(text, lexer, linespans="line", force=True)
    return f"<h1>{escape(name)}</h1>\n{code}"


def _forget(app: Sphinx, _env: Any, docname: str) -> None:
    shown_by(app).pop(docname, None)


def _resolver(_app: Sphinx, config: Any) -> None:
    config.linkcode_resolve = linkcode_resolve


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(LinksToSources)
    app.connect("config-inited", _resolver)
    app.connect("env-purge-doc", _forget)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
