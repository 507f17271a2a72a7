"""The site as a reader sees it: at two widths, light and dark, in a browser without a window."""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from tests.studies.browser import Browser

pytestmark = pytest.mark.slow

# The width in pixels, and whether the page is dark.
LOOKS = ((1280, False), (1280, True), (390, False), (390, True))
AXE = os.environ.get("AXE_CORE", "")
# In the dark only colours differ: text, code, equations, tables, the reference, the search.
LIKE_OTHERS = ("index", "start.zh-CN", "optimizers", "microscope", "search", "_adam.py")
# The pictures of a page that has become dark or light are loaded a little later.
PICTURES_LOADED = """
new Promise((done) => {
  const source = (x) => [...x.parentElement.querySelectorAll(":scope > source")]
    .find((s) => matchMedia(s.media).matches)?.srcset ?? x.src;
  const loaded = (x) => x.complete && x.currentSrc === new URL(source(x), document.baseURI).href;
  const wait = () => [...document.images].every(loaded) ? done() : setTimeout(wait, 10);
  requestAnimationFrame(wait);
})
"""
BROKEN_PICTURES = """
[...document.images].filter((x) => !(x.complete && x.naturalWidth > 0)).map((x) => x.src)
"""
# Colours would take half of axe's time. Axe checks them in two elements of each kind: those of one
# kind have the same colours, font, classes and backgrounds, as have the elements around them. One
# with a single character is of another kind, because axe does not check it.
MARK_COLOURS = """
const around = new Map(), kinds = new Map();
for (const x of document.querySelectorAll("body, body *")) {
  const s = getComputedStyle(x);
  const behind = [s.backgroundColor, s.backgroundImage, s.opacity];
  around.set(x, [around.get(x.parentElement), x.localName, x.getAttribute("class"), behind].join());
  const words = [...x.childNodes].some((n) => n.nodeType === 3 && n.data.trim().length > 1);
  const kind = [around.get(x), s.color, s.fontSize, s.fontWeight, words].join();
  const before = kinds.get(kind) ?? 0;
  if (before === 2 || !x.checkVisibility()) continue;
  kinds.set(kind, before + 1);
  x.dataset.colours = "";
}
axe.configure({rules: [{id: "color-contrast", selector: "[data-colours]"}]});
"""
# Pages from a disk may not fetch their style sheets a second time.
VIOLATIONS = """
axe.run(document, {preload: false, resultTypes: ["violations"]}).then(({violations}) =>
  violations.map((v) => [v.id, v.nodes.slice(0, 3).map((n) => n.target.join(" "))]))
"""


def pages(site: Path) -> list[Path]:
    """The site's own pages; source pages are alike, and one stands for all."""
    own = [page for page in site.rglob("*.html") if not {"studies", "source"} & set(page.parts)]
    return [*sorted(own), site / "source/jaxopt_notes/optimizers/_adam.py.html"]


@pytest.fixture(scope="module")
def faults(site, browser) -> dict[str, list]:
    """Each page's faults in each look: our own checks', and axe's.

    A page is opened wide and light; a page of `LIKE_OTHERS` is also opened narrow and dark. The
    other looks are changes of the open page. Axe checks a page only as it was opened: a script of
    the page finds out then which code scrolls.
    """
    faults = {"own": [], "axe": []}
    axe = AXE and Path(AXE).read_text(encoding="utf-8")
    for page in pages(site):
        for width, dark in LOOKS:
            look = page.name, width, "dark" if dark else "light"
            opened = (width, dark) == LOOKS[0] or (
                (width, dark) == LOOKS[-1] and page.stem in LIKE_OTHERS
            )
            if opened:
                browser.open(page, width, dark=dark)
            else:
                browser.events.clear()
                browser.emulate(width, dark=dark)
                browser.evaluate(PICTURES_LOADED)
            kinds = {
                "too wide": browser.evaluate(f"document.documentElement.scrollWidth > {width}"),
                "pictures": browser.evaluate(BROKEN_PICTURES),
                "console": browser.complaints(),
                "fetched": [x for x in browser.fetched() if not x.startswith(("file:", "data:"))],
            }
            faults["own"] += [(*look, kind, value) for kind, value in kinds.items() if value]
            if axe and opened:
                browser.evaluate(f"{axe}; {{{MARK_COLOURS}}}")
                if violations := browser.evaluate(VIOLATIONS):
                    faults["axe"].append((*look, violations))
    return faults


def test_pages_fit_load_and_do_not_complain(faults):
    assert faults["own"] == []


@pytest.mark.skipif(not AXE, reason="needs npm's axe-core, and its axe.min.js in AXE_CORE")
def test_pages_pass_the_checks_of_axe(faults):
    assert faults["axe"] == []


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
