"""English and Chinese: the way from a page to its other edition, and a search that finds both.

A page `start.md` has its Chinese edition in `start.zh-CN.md`. Below its title each edition has a
link to the other, alone in a paragraph.
"""

import gettext
import re
from html import escape
from pathlib import Path
from typing import Any

import sphinx
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish
from sphinx.transforms import SphinxTransform

CHINESE = ".zh-CN"
FIRST = "index"
SWITCHES = {"中文": "zh-CN", "English": "en"}
# What the theme says and Sphinx has no translation of.
WORDS = {
    "Back to top": "回到顶部",
    "Skip to content": "跳到正文",
    "Home": "首页",
    "Toggle Light / Dark / Auto color theme": "切换明暗主题",
    "Toggle site navigation sidebar": "展开或收起导航",
    "Toggle table of contents sidebar": "展开或收起本页目录",
    "On this page": "本页内容",
    "Search": "搜索",
}


class Switch(SphinxTransform):
    """Marks the link to the other edition, so that it looks like a switch."""

    default_priority = 210

    def apply(self, **_: Any) -> None:
        """Looks at paragraphs with nothing but one link."""
        for paragraph in self.document.findall(nodes.paragraph):
            language = SWITCHES.get(paragraph.astext())
            if language and len(paragraph) == 1 and isinstance(paragraph[0], nodes.Element):
                page = self.env.docname.removesuffix(CHINESE)
                other = page + CHINESE if language == "zh-CN" else page
                uri = self.app.builder.get_relative_uri(self.env.docname, other)
                text = (
                    f'<p class="language"><a href="{uri}" lang="{language}" '
                    f'hreflang="{language}">{paragraph.astext()}</a></p>'
                )
                paragraph.replace_self(nodes.raw("", text, format="html"))
                return


class EnglishAndChinese(SearchEnglish):
    """Chinese has no spaces: each two neighbours are a word, in the index as in the question."""

    lang = "en+zh"
    language_name = "English"  # the name of the script's stemmer begins with it
    js_splitter_code = r"""
const pairs = (run) =>
  /[\u4e00-\u9fff]{3}/.test(run)
    ? Array.from({ length: run.length - 1 }, (_, i) => run.slice(i, i + 2))
    : [run];
var splitQuery = (query) =>
  (query.match(/[\p{L}\p{N}_]+/gu) ?? [])
    .flatMap((word) => word.match(/[\u4e00-\u9fff]+|[^\u4e00-\u9fff]+/g))
    .flatMap(pairs);
"""

    def split(self, text: str) -> list[str]:
        words = []
        for run in re.findall(r"[\u4e00-\u9fff]+|[^\W\u4e00-\u9fff]+", text):
            chinese = "\u4e00" <= run[0] <= "\u9fff"
            several = chinese and len(run) > 2
            words += [run[i : i + 2] for i in range(len(run) - 1)] if several else [run]
        return words


def _frame(app: Sphinx, page: str, _template: str, context: dict[str, Any], _: Any) -> None:
    """What stands around a page."""
    if page == FIRST:
        app.add_js_file("first-page.js")
    if page.endswith(CHINESE):
        _chinese_frame(app, page, context)
    contents = context["toctree"]
    # A heading says its level.
    context["toctree"] = lambda **options: contents(**options).replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )


def _chinese_frame(app: Sphinx, page: str, context: dict[str, Any]) -> None:
    """The frame of a Chinese page: its language, its contents, the theme's own words."""
    context["language"] = "zh-CN"
    context["master_doc"] = context["root_doc"] = FIRST + CHINESE
    locale = Path(sphinx.__file__).parent / "locale"
    catalogue = gettext.translation("sphinx", locale, ["zh_CN"])

    def translated(text: str, *_: Any) -> str:
        return WORDS.get(text.strip()) or catalogue.gettext(text)

    context["_"] = context["gettext"] = translated
    context["toctree"] = lambda **_: _contents(app, page)


def _contents(app: Sphinx, page: str) -> str:
    """The tables of contents of the Chinese first page, as the theme takes Sphinx's own."""
    parts = []
    for tree in app.env.get_doctree(FIRST + CHINESE).findall(addnodes.toctree):
        items = []
        for name, target in tree["entries"]:
            current = " current" if target == page else ""
            uri = app.builder.get_relative_uri(page, target)
            title = escape(name or app.env.titles[target].astext())
            link = f'<a class="reference internal{current}" href="{uri}">{title}</a>'
            items.append(f'<li class="toctree-l1{current}">{link}</li>')
        caption = f'<span class="caption-text">{escape(tree["caption"])}</span>'
        parts.append(f'<p class="caption" role="heading">{caption}</p><ul>{"".join(items)}</ul>')
    return "".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(Switch)
    app.add_search_language(EnglishAndChinese)
    app.connect("html-page-context", _frame, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
