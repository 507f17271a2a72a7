"""The Chinese README says what the English one does: the same code, figures, names and links."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")
)
BLOCK = re.compile(r"```\w*\n.*?```", re.DOTALL)
EDITIONS = {"README.md", "README.zh-CN.md"}


def sections(text: str) -> list[str]:
    """What stands under each heading, without the blocks of code."""
    return re.split(r"^## .*$", BLOCK.sub("", text), flags=re.MULTILINE)


def links(text: str) -> list[str]:
    """The links out of the README, a Chinese edition of a page counted as the page."""
    targets = re.findall(r"\]\(([^)]+)\)", text)
    return [t.replace(".zh-CN.md", ".md") for t in targets if t not in EDITIONS]


def names(text: str) -> Counter[str]:
    """What is set as code in the text."""
    return Counter(re.findall(r"`([^`]+)`", text))


def figures(text: str) -> Counter[str]:
    """Numbers outside of links and code."""
    bare = re.sub(r"`[^`]+`|\]\([^)]+\)", "", text)
    return Counter(re.findall(r"\d+(?:[.,]\d+)*(?:e-?\d+)?", bare))


PAIRS = list(zip(sections(ENGLISH), sections(CHINESE)))


def test_blocks_of_code_are_the_same():
    assert BLOCK.findall(CHINESE) == BLOCK.findall(ENGLISH)


def test_sections_are_as_many():
    assert len(sections(CHINESE)) == len(sections(ENGLISH)) > 5


@pytest.mark.parametrize("what", [links, names, figures], ids=lambda what: what.__name__)
def test_each_section_has_the_same(what):
    for number, (english, chinese) in enumerate(PAIRS):
        assert what(chinese) == what(english), f"section {number}"


def test_each_page_is_there_and_in_chinese_where_it_exists_in_chinese():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", CHINESE):
        assert (ROOT / target).exists(), target
        chinese = target.removesuffix(".md") + ".zh-CN.md"
        assert target in EDITIONS or not (ROOT / chinese).exists(), target


def test_tables_have_the_same_rows():
    rows = [
        [line.count("|") for line in t.splitlines() if line[:1] == "|"] for t in (ENGLISH, CHINESE)
    ]
    assert rows[0] == rows[1]


def test_each_edition_leads_to_the_other():
    assert "[English](README.md)" in CHINESE
    assert "](README.zh-CN.md)" in ENGLISH


def test_it_is_chinese_throughout():
    """No paragraph is left in English, and no punctuation of one script follows the other's."""
    for paragraph in BLOCK.sub("", CHINESE).split("\n\n")[2:]:
        assert re.search(r"[\u4e00-\u9fff]", paragraph) or not paragraph.strip(), paragraph
    assert not re.search(r"[\u4e00-\u9fff][,;:?!]", BLOCK.sub("", CHINESE))
