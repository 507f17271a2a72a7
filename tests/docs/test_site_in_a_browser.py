"""The site as a reader sees it: at two widths, light and dark, in a browser without a window."""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from tests.studies.browser import Browser

pytestmark = pytest.mark.slow

WIDTHS = (1280, 390)
AXE = os.environ.get("AXE_CORE", "")
# In the dark only colours differ: text, code, equations, tables, the reference, the search.
LIKE_OTHERS = ("index", "start.zh-CN", "optimizers", "microscope", "search", "_adam.py")
BROKEN_PICTURES = """
[...document.images].filter((x) => !(x.complete && x.naturalWidth > 0)).map((x) => x.src)
"""
VIOLATIONS = """
axe.run(document, {resultTypes: ["violations"]}).then(({violations}) =>
  violations.map((v) => [v.id, v.nodes.slice(0, 3).map((n) => n.target.join(" "))]))
"""


def pages(site: Path) -> list[Path]:
    """The site's own pages; source pages are alike, and one stands for all."""
    own = [page for page in site.rglob("*.html") if not {"studies", "source"} & set(page.parts)]
    return [*sorted(own), site / "source/jaxopt_notes/optimizers/_adam.py.html"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_load_and_do_not_complain(site, browser, width, dark):
    trouble = []
    for page in pages(site):
        browser.open(page, width, dark=dark)
        faults = {
            "too wide": browser.evaluate(f"document.documentElement.scrollWidth > {width}"),
            "pictures": browser.evaluate(BROKEN_PICTURES),
            "console": browser.complaints(),
            "fetched": [x for x in browser.fetched() if not x.startswith(("file:", "data:"))],
        }
        trouble += [(page.name, what, value) for what, value in faults.items() if value]
    assert trouble == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_pass_the_checks_of_axe(site, browser, dark):
    if not AXE:
        pytest.skip("needs axe-core: npm install axe-core, and its axe.min.js in AXE_CORE")
    script = Path(AXE).read_text(encoding="utf-8")
    violations = {}
    for page in pages(site):
        if dark and page.stem not in LIKE_OTHERS:
            continue
        browser.open(page, 390 if dark else 1280, dark=dark)
        browser.evaluate(f"{script}; undefined")
        if page_violations := browser.evaluate(VIOLATIONS):
            violations[page.name] = page_violations
    assert violations == {}


@pytest.mark.parametrize("question", ["momentum", "动量", "偏差校正"])
def test_the_search_finds(site, browser, question):
    browser.open(site / "search.html", 1280)
    browser.evaluate(f"Search.performSearch({json.dumps(question)})")
    browser.evaluate("new Promise((done) => setTimeout(done, 500))")
    titles = browser.evaluate(
        "[...document.querySelectorAll('#search-results li a')].map(a => a.href)"
    )
    assert any(("zh-CN" in title) == (question != "momentum") for title in titles)
    assert browser.complaints() == []


def arrives(browser: Browser, page: str) -> bool:
    """Whether the browser comes to a page of that name, and stays there."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        time.sleep(0.3)
        with contextlib.suppress(AssertionError):  # a page that is being left does not answer
            there = browser.evaluate("document.readyState + location.pathname")
            if there.startswith("complete") and there.endswith(f"/{page}"):
                return True
    return False


@pytest.mark.parametrize(
    ("language", "page"), [("zh-TW", "index.zh-CN.html"), ("de", "index.html")]
)
def test_the_first_page_comes_in_the_language_of_the_browser(site, browser, language, page):
    agent = browser.evaluate("navigator.userAgent")
    browser.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
    try:
        browser.call("Page.navigate", url=(site / "index.html").as_uri())
        assert arrives(browser, page)
    finally:
        browser.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="en")


def test_the_choice_of_a_language_is_kept(site, browser):
    browser.open(site / "index.html", 1280)
    click = "document.querySelector('.language a').click()"
    browser.evaluate(f"setTimeout(() => {click}); undefined")
    try:
        assert arrives(browser, "index.zh-CN.html")
        browser.call("Page.navigate", url=(site / "index.html").as_uri())
        assert arrives(browser, "index.zh-CN.html")
    finally:
        browser.evaluate("localStorage.clear()")
