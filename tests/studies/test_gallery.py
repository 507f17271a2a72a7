"""The pages need nothing but each other; their links lead somewhere; they are up to date."""

import itertools
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from jaxopt_notes.studies import claim_page, files, gallery, markdown, own_rule, playground, study
from jaxopt_notes.studies.style import COLOURS, DASHES, LABELS
from jaxopt_notes.studies.wording import (
    FILES,
    LANGUAGES,
    TAGS,
    VERDICTS,
    WORDS,
    Story,
    counted,
    marked,
    registration,
    robustness,
    text_of,
)

REPORT = Path(__file__).parents[2] / "docs" / "studies"
MOVING = ("playground.html", "one-name.html")
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
    return [Story(n, study.about(n), files.result(REPORT / n)) for n in study.names()]


@pytest.fixture(scope="module")
def texts(stories: list[Story]) -> dict[str, str]:
    return gallery.pages(stories)


@pytest.fixture(scope="module")
def pages(texts: dict[str, str]) -> dict[str, Page]:
    return {file: Page(text) for file, text in texts.items() if file.endswith(".html")}


def test_pages_in_the_repository_are_up_to_date_and_no_other_is_there(
    texts: dict[str, str],
) -> None:
    for file, text in texts.items():
        assert (REPORT / file).read_text(encoding="utf-8") == text, (
            f"{file}: run `python -m jaxopt_notes.studies pages --out docs/studies`"
        )
    there = [path for path in REPORT.rglob("*") if path.suffix in (".html", ".md")]
    assert {path.relative_to(REPORT).as_posix() for path in there} == set(texts)


def test_every_page_is_small(texts: dict[str, str]) -> None:
    for file, text in texts.items():
        assert len(text.encode()) < (500_000 if file.endswith(".html") else 20_000), file
    for name in study.names():
        for picture in (REPORT / name).glob("picture.*"):
            assert picture.stat().st_size < 300_000, picture


def test_nothing_is_fetched_from_elsewhere(pages: dict[str, Page], texts: dict[str, str]) -> None:
    for file, page in pages.items():
        for address in page.values("src", "href", "srcset", "action", "poster", "data"):
            assert address == "data:," or not re.match(r"[a-z]+:|/", address), (file, address[:80])
        assert not re.search(
            r"url\(|@import|https?://|fetch\(|XMLHttpRequest|import\(", texts[file]
        )
        assert {tag for tag, _ in page.elements}.isdisjoint({"iframe", "object", "embed", "base"})


def test_every_link_leads_somewhere(pages: dict[str, Page], texts: dict[str, str]) -> None:
    for file, page in pages.items():
        for address in page.values("src", "href"):
            target, _, place = address.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(file), target or "."))
            if address == "data:,":
                continue
            if target in MOVING:
                assert not place or place in playground.PRESETS.values(), (file, address)
            else:
                assert (REPORT / target).is_file(), (file, address)
                assert not place or place in pages[target].values("id"), (file, address)
    for file, text in texts.items():
        if file.endswith(".md"):
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                assert ((REPORT / file).parent / target).is_file(), (file, target)


def test_places_have_one_name_each(pages: dict[str, Page]) -> None:
    for file, page in pages.items():
        places = page.values("id")
        assert len(places) == len(set(places)), file
    assert set(study.names()) <= set(pages["index.html"].values("id"))


def test_each_picture_has_its_text_in_both_languages(
    pages: dict[str, Page], stories: list[Story]
) -> None:
    for story in stories:
        shown = [a for tag, a in pages[f"{story.name}/index.html"].elements if tag == "img"]
        assert [a["lang"] for a in shown] == list(TAGS)
        english, chinese = (a["alt"] for a in shown)
        assert len(english) > 60
        assert re.search("[\u4e00-\u9fff]{2}", chinese)
        files = [a["src"] for a in shown]
        assert files == ["picture.svg", "picture.zh.svg" if story.about.texts else "picture.svg"]
    shown = [a for tag, a in pages["index.html"].elements if tag == "img"]
    assert len(shown) == 2 * len(stories)
    assert all(a["alt"] for a in shown)


def test_everything_is_said_in_both_languages(pages: dict[str, Page]) -> None:
    for file, page in pages.items():
        spans = [a.get("lang") for tag, a in page.elements if tag == "span" and "lang" in a]
        assert spans.count("en") == spans.count("zh-CN") > 30, file
    assert all(len(texts) == 2 for texts in WORDS.values())


def test_where_the_notes_say_it_is_told_in_chinese(stories: list[Story]) -> None:
    for story in stories:
        assert not re.search(r"[A-Za-z]", text_of(story, "section", "zh")), story.about.section
        assert text_of(story, "section", "en") == story.about.section


def test_presets_belong_to_studies_and_name_what_the_page_has(texts: dict[str, str]) -> None:
    assert set(playground.PRESETS) < set(study.names())
    for name, preset in playground.PRESETS.items():
        state = dict(part.split("=") for part in preset.split("&"))
        assert state["landscape"] in playground.LANDSCAPES
        assert set(state["on"].split(",")) <= {*playground.OPTIMIZERS, "own"}
        assert state.get("example", "adam") in own_rule.EXAMPLES
        href = f'href="../playground.html#{preset.replace("&", "&amp;")}"'
        assert href in texts[f"{name}/index.html"]


def test_the_pages_are_for_phones_and_for_print(texts: dict[str, str]) -> None:
    for file in ("index.html", "ravine/index.html"):
        for rule in ("width=device-width", "prefers-color-scheme: dark", "@media print"):
            assert rule in texts[file]


def test_all_verdicts_stand_in_the_overview(texts: dict[str, str], stories: list[Story]) -> None:
    cards = texts["index.html"].partition("<article")[2]
    for story in stories:
        assert f'href="{story.name}/index.html"' in cards
        assert marked(text_of(story, "finding", "en")) in cards
    for word in VERDICTS:
        count = sum(story.result["verdict"]["word"] == word for story in stories)
        assert cards.count(f'class="verdict {word.replace(" ", "-")}"') == count


def test_the_overview_counts_each_claim_once_by_kind_and_verdict(stories: list[Story]) -> None:
    table = dict(counted(stories))
    assert sum(map(sum, table.values())) == len(stories)
    for kind, counts in table.items():
        for verdict, count in zip(VERDICTS, counts):
            same = [s for s in stories if s.about.kind == kind]
            assert sum(s.result["verdict"]["word"] == verdict for s in same) == count


@pytest.mark.parametrize("ending", ["index.html", *FILES.values()])
def test_from_page_to_page_a_reader_passes_every_study(
    ending: str, texts: dict[str, str], stories: list[Story]
) -> None:
    """By the last link to another study of each page, which is its next one."""
    names = [story.name for story in stories]
    seen = [names[0]]
    for _ in names[1:]:
        links = re.findall(rf"\.\./([a-z-]+)/{ending}", texts[f"{seen[-1]}/{ending}"])
        seen.append(links[-1])
    assert seen == names
    last = re.findall(rf"\.\./([a-z-]+)/{ending}", texts[f"{names[-1]}/{ending}"])
    assert last[-1] == names[-2]


def test_a_live_figure_stands_after_the_picture_of_its_study(stories: list[Story]) -> None:
    fragment = '<canvas id="moved"></canvas><script>0</script>'
    with patch.object(claim_page, "live", {"saddle": fragment}.get):
        texts = {s.name: claim_page.as_page(stories, i) for i, s in enumerate(stories)}
    tail = texts["saddle"].partition("</figure>")[2]
    assert tail.index(WORDS["live"][0]) < tail.index(fragment) < tail.index(WORDS["strip"][0])
    assert all(fragment not in text for name, text in texts.items() if name != "saddle")
    assert WORDS["live"][0] not in texts["ravine"]


def test_a_page_says_how_robust_it_is_and_how_its_rule_was_registered(
    stories: list[Story], texts: dict[str, str]
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
    wanted = (
        "half the threshold: holds, double the threshold: not decided, 3 epochs: fails → not robust"
    )
    assert robustness(story, "en") == wanted
    shown = claim_page.as_page([story], 0).partition('<ul class="strip">')[2].partition("</ul>")[0]
    assert re.findall("✓|✗|≈|\\?", shown) == ["✓", "?", "✗"]
    assert WORDS["fragile"][0] in shown
    for language, story in itertools.product(LANGUAGES, stories):
        text = texts[f"{story.name}/{FILES[language]}"]
        assert robustness(story, language) in text
        assert registration(story, language) in text
        assert registration(story, language) in texts[f"{story.name}/index.html"]


def test_quick_pages_say_so(stories: list[Story], texts: dict[str, str]) -> None:
    warning = WORDS["quick"][0]
    assert not any(warning in text for text in texts.values())
    quick = [stories[0]._replace(result={**stories[0].result, "quick": True})]
    for text in (gallery.as_page(quick), claim_page.as_page(quick, 0)):
        assert warning in text
    for text in (markdown.overview(quick, "en"), markdown.claim(quick, 0, "en")):
        assert warning in text


def test_tables_in_markdown_are_whole(texts: dict[str, str]) -> None:
    for file, text in texts.items():
        if file.endswith(".md"):
            for line in text.splitlines():
                if line.startswith("| "):
                    assert len(re.findall(r"(?<!\\)\|", line)) in (3, 6), (file, line)


def test_low_and_high_letters_only_where_they_are_meant() -> None:
    assert marked("t^-0.50 and x^2") == "t<sup>−0.50</sup> and x<sup>2</sup>"
    assert marked("jaxopt_notes.models.from_torch") == "jaxopt_notes.models.from_torch"
    assert marked("a < b & c") == "a &lt; b &amp; c"


def test_an_optimizer_looks_the_same_everywhere() -> None:
    assert set(COLOURS) == set(LABELS) == set(DASHES)
    assert len(set(COLOURS.values())) == len(COLOURS)
