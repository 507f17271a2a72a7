"""The site as files: whole, without anything from elsewhere, in two languages."""

import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.page import Page, page
from tests.docs.public import ROOT, everything

pytestmark = pytest.mark.slow  # the site is built

FIRST_PAGE = 500_000  # bytes: HTML, style sheets and pictures


def pages(site: Path) -> list[Page]:
    return [page(file) for file in sorted(site.rglob("*.html"))]


def part(site: Path, name: str, pattern: str) -> str:
    """The first match of a pattern in a page."""
    match = re.search(pattern, (site / name).read_text(encoding="utf-8"), re.DOTALL)
    assert match, pattern
    return match[1]


def test_nothing_is_fetched_from_elsewhere(site):
    fetched = {address for each in pages(site) for address in each.assets}
    styles = "".join(file.read_text(encoding="utf-8") for file in site.rglob("*.css"))
    fetched |= set(re.findall(r"url\([\"']?([^\"')]+)", styles))
    fetched |= set(re.findall(r"@import [\"']([^\"']+)", styles))
    assert len(fetched) > 10
    assert [x for x in fetched if urlsplit(x).scheme not in ("", "data") or x[:2] == "//"] == []


def test_each_link_leads_to_a_file_and_an_anchor(site):
    broken = set()
    for here in pages(site):
        for link in {*here.links, *here.assets}:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            file = (here.file.parent / unquote(parts.path)).resolve() if parts.path else here.file
            anchor = unquote(parts.fragment) if file.suffix == ".html" else ""
            if "=" in anchor:  # a setting of the playground
                anchor = ""
            if not file.is_file() or (anchor and anchor not in page(file).anchors):
                broken.add((here.file.relative_to(site).as_posix(), link))
    assert sorted(broken) == []


def test_each_picture_has_an_alternative_text(site):
    assert [
        (each.file.relative_to(site).as_posix(), address[:80])
        for each in pages(site)
        for address, text in each.pictures
        if not text.strip()
    ] == []


def test_the_first_page_is_small(site):
    first = page(site / "index.html")
    files = {site / urlsplit(x).path for x in first.assets}
    own = [file for file in files if file.suffix in (".css", ".png", ".svg", ".jpg")]
    assert len(own) >= 3
    assert first.file.stat().st_size + sum(file.stat().st_size for file in own) < FIRST_PAGE


def test_each_page_leads_to_its_other_edition(site):
    chinese = [file for file in site.rglob("*.zh-CN.html") if "studies" not in file.parts]
    assert len(chinese) > 8
    for file in chinese:
        other = file.with_name(file.name.replace(".zh-CN", ""))
        assert (page(file).language, page(other).language) == ("zh-CN", "en")
        assert other.name in page(file).links
        assert file.name in page(other).links


def test_each_study_leads_back_to_the_gallery_of_the_site(site):
    studies = list((site / "studies").rglob("*.html"))
    assert len(studies) > 20
    for file in studies:
        back = {(file.parent / link).resolve() for link in page(file).links}
        assert {site / "gallery.html", site / "gallery.zh-CN.html"} <= back


def test_chinese_pages_have_a_chinese_frame(site):
    name = "start.zh-CN.html"
    captions = r'<div class="sidebar-tree">.*?caption-text">(.*?)<'
    assert part(site, name, captions) == "入门"
    assert part(site, name, r'class="sidebar-search" placeholder="([^"]*)"') == "搜索"
    assert "开始使用" in part(site, name, r'class="[^"]*current-page">(.*?)</li>')


def test_the_search_knows_both_languages(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    terms = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    assert {"momentum", "动量", "学习", "习率"} <= (terms["terms"] | terms["titleterms"]).keys()


def test_the_reference_has_an_entry_for_each_public_name(site):
    files = (site / "reference").glob("*.html")
    entries = set().union(*(page(file).anchors for file in files))
    twice = {"jaxopt_notes.translate", "jaxopt_notes.translate_state"}
    assert everything().keys() - twice <= entries


@pytest.mark.parametrize("name", ["adam", "adagrad", "rmsprop", "lion", "sgd"])
def test_equations_are_typeset(site, name):
    pattern = rf'id="jaxopt_notes\.{name}">.*?<dd>.*?(<math.*?</math>)'
    assert "&#x02190;" in part(site, "reference/optimizers.html", pattern)


def test_the_source_of_a_name_is_a_page(site):
    pattern = r'id="jaxopt_notes\.adam">.*?href="([^"]*source/[^"]*)"'
    path, _, anchor = part(site, "reference/optimizers.html", pattern).partition("#")
    assert anchor in page((site / "reference" / path).resolve()).anchors
    source = (ROOT / "jaxopt_notes/optimizers/_adam.py").read_text(encoding="utf-8").splitlines()
    assert source[int(anchor.removeprefix("line-")) - 1].startswith("def adam(")
