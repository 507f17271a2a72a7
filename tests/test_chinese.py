"""Each Chinese page says what the English one does: the same code, figures, names and links."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENDING = ".zh-CN.md"
PAGES = ["README"] + [
    path.relative_to(ROOT).as_posix().removesuffix(ENDING)
    for folder in ("docs", "docs/guides")
    for path in ROOT.glob(f"{folder}/*{ENDING}")
]
BLOCK = re.compile(r"```\w*\n.*?```|^\$\$.*?\$\$$", re.DOTALL | re.MULTILINE)


def editions(page: str) -> tuple[str, str]:
    """The page in English and in Chinese."""
    english, chinese = ((ROOT / f"{page}{end}").read_text("utf-8") for end in (".md", ENDING))
    return english, chinese


def sections(text: str) -> list[str]:
    """The text under each heading, without blocks of code and formulas."""
    return re.split(r"^## .*$", BLOCK.sub("", text), flags=re.MULTILINE)


def links(text: str) -> Counter[str]:
    """The links out of the page; a page's two editions count as one target."""
    return Counter(t.replace(".zh-CN.", ".") for t in re.findall(r"\]\(([^)]+)\)", text))


def names(text: str) -> Counter[str]:
    """The names that the text sets as code."""
    return Counter(re.findall(r"`([^`]+)`", text))


def figures(text: str) -> Counter[str]:
    """Numbers outside of links, code and HTML tags."""
    bare = re.sub(r"`[^`]+`|\]\([^)]+\)|<[^>]+>", "", text)
    return Counter(re.findall(r"\d+(?:[.,]\d+)*(?:e-?\d+)?", bare))


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_code_and_formulas_are_the_same(page):
    english, chinese = editions(page)
    assert BLOCK.findall(chinese) == BLOCK.findall(english)


@pytest.mark.parametrize("what", [links, names, figures], ids=lambda what: what.__name__)
@pytest.mark.parametrize("page", PAGES)
def test_each_section_has_the_same(page, what):
    english, chinese = map(sections, editions(page))
    assert len(english) == len(chinese)
    for number, (original, translation) in enumerate(zip(english, chinese)):
        assert what(translation) == what(original), f"section {number}"


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_to_a_page_and_to_the_chinese_one_where_there_is_one(page):
    there = (ROOT / page).parent
    for text in editions(page):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (there / target).exists(), target
    own = f"{Path(page).name}.md"
    for target in set(re.findall(r"\]\((?!http)([^)#]+\.md)\)", editions(page)[1])) - {own}:
        if not target.endswith(ENDING):
            assert not (there / f"{target.removesuffix('.md')}{ENDING}").exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_tables_have_the_same_rows(page):
    rows = [
        [line.count("|") for line in text.splitlines() if line[:1] == "|"]
        for text in editions(page)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("page", PAGES)
def test_each_edition_leads_to_the_other(page):
    english, chinese = editions(page)
    name = Path(page).name
    assert f"[English]({name}.md)" in chinese
    assert f"[中文]({name}{ENDING})" in english


@pytest.mark.parametrize("page", PAGES)
def test_it_is_chinese_throughout(page):
    """No paragraph is left in English, and no punctuation of one script follows the other's."""
    chinese = BLOCK.sub("", editions(page)[1])
    for paragraph in chinese.split("\n\n")[2:]:
        name_or_nothing = re.fullmatch(r"(## \w+)?\s*", paragraph)
        assert re.search(r"[\u4e00-\u9fff]", paragraph) or name_or_nothing, paragraph
    assert not re.search(r"[\u4e00-\u9fff][,;:?!]", chinese)


def test_the_readme_is_among_the_pages():
    assert len(PAGES) > 8
