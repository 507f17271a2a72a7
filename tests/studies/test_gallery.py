"""The page needs nothing but itself; the Markdown's links lead somewhere; both are up to date."""

import base64
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from jaxopt_notes.studies import gallery, markdown, one_name, own_rule, playground, study
from jaxopt_notes.studies.style import COLOURS, DASHES, LABELS, _apart
from jaxopt_notes.studies.wording import (
    LANGUAGES,
    VERDICTS,
    WORDS,
    Story,
    counted,
    marked,
    registration,
    robustness,
    said,
)

REPORT = Path(__file__).parents[2] / "docs" / "studies"
PAGES = (playground.FILE, one_name.FILE)
VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """Elements with their attributes, checked for being closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, *names: str) -> list[str]:
        return [a[name] for _, a in self.elements for name in names if name in a]


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    def result(name: str) -> dict[str, Any]:
        return json.loads((REPORT / name / "result.json").read_text(encoding="utf-8"))

    return [Story(name, study.about(name), result(name)) for name in study.names()]


@pytest.fixture(scope="module")
def text(stories: list[Story]) -> str:
    return gallery.as_page(stories, REPORT)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_nothing_is_fetched(page: Page, text: str) -> None:
    for address in page.values("src", "href", "srcset", "action", "poster", "data"):
        assert address.startswith(("data:", "#")) or address.split("#")[0] in PAGES, address[:80]
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttpRequest|import\(", text)
    assert {tag for tag, _ in page.elements}.isdisjoint({"iframe", "object", "embed", "base"})


def test_every_link_within_the_page_has_its_place(page: Page) -> None:
    places = page.values("id")
    assert len(places) == len(set(places))
    assert {address[1:] for address in page.values("href") if address[0] == "#"} <= set(places)
    assert set(study.names()) <= set(places)


def test_each_picture_has_its_text_in_both_languages_and_is_whole(page: Page) -> None:
    pictures = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(pictures) == len(study.names())
    for attributes in pictures:
        assert len(attributes["alt"]) > 60
        assert len(attributes["data-zh"]) > 20
        kind, content = attributes["src"].split(",", 1)
        assert kind == "data:image/svg+xml;base64"
        tree = ElementTree.fromstring(base64.b64decode(content))
        for element in tree.iter():
            for name, value in element.attrib.items():
                if name.endswith("href"):
                    assert value.startswith(("#", "data:")), value[:80]


def test_everything_is_said_in_both_languages(page: Page) -> None:
    english, chinese = (
        sum(a.get("lang") == language for tag, a in page.elements if tag == "span")
        for language in ("en", "zh-CN")
    )
    assert english == chinese > 20 * len(study.names()) / 2
    assert all(len(texts) == 2 for texts in WORDS.values())


def test_where_the_notes_say_it_is_told_in_chinese(stories: list[Story]) -> None:
    for story in stories:
        assert not re.search(r"[A-Za-z]", said(story, "section", "zh")), story.about.section
        assert said(story, "section", "en") == story.about.section


@pytest.mark.parametrize("module", [playground, one_name])
def test_the_moving_pages_are_said_in_both_languages_and_whole(module: Any) -> None:
    text = module.as_page()
    page = Page(text)
    places = page.values("id")
    assert len(places) == len(set(places))
    spans = [attributes.get("lang") for tag, attributes in page.elements if tag == "span"]
    assert spans.count("en") == spans.count("zh-CN") > 30
    assert set(page.values("href")) == {"data:,", "index.html"}
    assert not page.values("src")
    assert not re.search(r"@import|https?://|fetch\(|XMLHttpRequest|import\(", text)


def test_presets_belong_to_studies_and_name_what_the_page_has() -> None:
    assert set(playground.PRESETS) < set(study.names())
    for preset in playground.PRESETS.values():
        state = dict(part.split("=") for part in preset.split("&"))
        assert state["landscape"] in playground.LANDSCAPES
        assert set(state["on"].split(",")) <= {*playground.OPTIMIZERS, "own"}
        assert state.get("example", "adam") in own_rule.EXAMPLES


def test_the_page_is_for_phones_and_for_print(page: Page, text: str) -> None:
    assert "width=device-width" in dict(page.elements)["meta"].get("content", "") or any(
        "width=device-width" in a.get("content", "") for _, a in page.elements
    )
    for rule in ("prefers-color-scheme: dark", "@media print", "overflow-wrap"):
        assert rule in text


def test_all_verdicts_stand_in_the_first_table(text: str, stories: list[Story]) -> None:
    table = text[: text.index("<article")].rsplit("<table>", 1)[1]
    for story in stories:
        assert f'href="#{story.name}"' in table
    for word in VERDICTS:
        found = sum(story.result["verdict"]["word"] == word for story in stories)
        assert table.count(f'class="verdict {word.replace(" ", "-")}"') == found


def test_the_overview_counts_each_claim_once_by_kind_and_verdict(stories: list[Story]) -> None:
    table = dict(counted(stories))
    assert sum(map(sum, table.values())) == len(stories)
    for kind, counts in table.items():
        for verdict, count in zip(VERDICTS, counts):
            same = [s for s in stories if s.about.kind == kind]
            assert sum(s.result["verdict"]["word"] == verdict for s in same) == count


def test_an_article_says_how_robust_it_is_and_how_its_rule_was_registered(
    stories: list[Story],
) -> None:
    def registered(**result: Any) -> str:
        story = stories[0]._replace(result={**stories[0].result, **result})
        return registration(story, "en")

    hashes = {"ran_under": "abc", "registered": "def"}
    assert "(abc) are the registered ones" in registered(registration="same", **hashes)
    differing = registered(registration="differs", **hashes)
    assert "ran under abc, and def is registered" in differing
    assert "before rules" in registered(registration="before", **hashes)
    strip = {"half": "holds", "double": "not decided", "3 epochs": "fails"}
    story = stories[0]._replace(result={**stories[0].result, "strip": strip, "robust": False})
    wanted = "half the threshold: holds, double: not decided, 3 epochs: fails → not robust"
    assert robustness(story, "en") == wanted
    for language in LANGUAGES:
        told = markdown.page(stories, language)
        for story in stories:
            assert robustness(story, language) in told
            assert registration(story, language) in told


def test_a_quick_page_says_so(stories: list[Story], text: str) -> None:
    warning = WORDS["quick"][0]
    assert warning not in text
    quick = [stories[0]._replace(result={**stories[0].result, "quick": True})]
    assert warning in gallery.as_page(quick, REPORT)
    assert warning in markdown.page(quick, "en")


@pytest.mark.parametrize(("file", "language"), [("README.md", "en"), ("README.zh-CN.md", "zh")])
def test_the_markdown_in_the_repository_is_up_to_date(
    file: str, language: str, stories: list[Story]
) -> None:
    told = (REPORT / file).read_text(encoding="utf-8")
    assert told == markdown.page(stories, language), "run `python -m jaxopt_notes.studies report`"
    for target in re.findall(r"\]\(([^)#\s]+)\)", told):
        assert (REPORT / target).exists(), target
    for line in told.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 6), line


def test_pictures_are_small() -> None:
    for name in study.names():
        for kind in ("png", "svg"):
            assert (REPORT / name / f"picture.{kind}").stat().st_size < 300_000, (name, kind)


def test_low_and_high_letters_only_where_they_are_meant() -> None:
    assert marked("t^-0.50 and x^2") == "t<sup>−0.50</sup> and x<sup>2</sup>"
    assert marked("jaxopt_notes.models.from_torch") == "jaxopt_notes.models.from_torch"
    assert marked("a < b & c") == "a &lt; b &amp; c"


def test_an_optimizer_looks_the_same_everywhere() -> None:
    assert set(COLOURS) == set(LABELS) == set(DASHES)
    assert len(set(COLOURS.values())) == len(COLOURS)


def test_names_at_the_lines_ends_do_not_touch() -> None:
    ends = [(0.5, name, "red") for name in "abcd"]
    heights = [height for height, *_ in _apart(ends, 0.1)]
    assert all(b - a > 0.0999 for a, b in itertools.pairwise(heights))
    assert sum(heights) == pytest.approx(2.0)
