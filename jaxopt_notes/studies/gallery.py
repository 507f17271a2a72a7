"""All studies that have run, as one page that needs nothing else, and as Markdown."""

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes import files
from jaxopt_notes.studies import markdown, one_name, page, playground, study
from jaxopt_notes.studies.wording import (
    LANGUAGES,
    VERDICTS,
    WORDS,
    Story,
    counted,
    each,
    link,
    marked,
    number,
    said,
    word,
)


def write(out: Path, results: Sequence[dict[str, Any]]) -> list[Path]:
    """Writes the pages, README.md and README.zh-CN.md beside the studies' folders.

    Args:
      out: where the studies' own files are.
      results: what each study's result.json holds.

    Returns:
      The files.
    """
    stories = [Story(r["name"], study.about(r["name"]), r) for r in results]
    written = {
        "index.html": as_page(stories, out),
        playground.FILE: playground.as_page(),
        one_name.FILE: one_name.as_page(),
        "README.md": markdown.page(stories, "en"),
        "README.zh-CN.md": markdown.page(stories, "zh"),
    }
    for name, text in written.items():
        files.write_text(out / name, text)
    return [out / name for name in written]


def as_page(stories: list[Story], out: Path) -> str:
    """The whole page."""
    quick = any(story.result["quick"] for story in stories)
    head = [
        f"<h1>{each(*WORDS['title'])}</h1>",
        '<button id="language" type="button">中文</button>',
        f"<p>{each(*WORDS['intro'])}</p>",
        f"<p>{link(one_name.FILE, *WORDS['one_name'])}</p>",
        f"<p>{link(playground.FILE, *WORDS['playground'])}</p>",
        f"<p><strong>{each(*(counted(stories, la) for la in LANGUAGES))}</strong></p>",
        f"<p>{each(*WORDS['quick'])}</p>" if quick else "",
        _glance(stories),
    ]
    body = "\n".join([*head, *(_article(story, out / story.name) for story in stories)])
    return page.document(*WORDS["title"], body)


def _told(story: Story, field: str) -> str:
    return each(*(said(story, field, language) for language in LANGUAGES))


def _verdict(story: Story) -> str:
    kind = story.result["verdict"]["word"]
    sign, *names = VERDICTS[kind]
    return f'<span class="verdict {kind}">{sign} {each(*names)}</span>'


def _glance(stories: list[Story]) -> str:
    head = f"<tr><th>{each(*WORDS['claim'])}</th><th>{each(*WORDS['verdict'])}</th></tr>"
    rows = [
        f'<tr><td><a href="#{s.name}">{s.about.number}. {_told(s, "title")}</a>'
        f'<p class="small">{_told(s, "claim")}</p></td><td>{_verdict(s)}</td></tr>'
        for s in stories
    ]
    return "\n".join(["<table>", head, *rows, "</table>"])


def _article(story: Story, where: Path) -> str:
    about, result = story.about, story.result
    setting = json.dumps(result["setting"], ensure_ascii=False)
    seconds = each(*(text.format(result["seconds"]) for text in WORDS["measured"]))
    notes = each(*(word("notes", la).format(said(story, "section", la)) for la in LANGUAGES))
    versions = ", ".join(f"{name} {v}" for name, v in result["versions"].items())
    parts = [
        f'<article id="{story.name}">',
        f"<h2>{about.number}. {_told(story, 'title')}</h2>",
        f"<blockquote>{_told(story, 'claim')}</blockquote>",
        f'<p class="small">{notes}</p>',
        f"<p>{_verdict(story)} · {_told(story, 'reason')}</p>",
        _figure(story, where),
        _live(story.name),
        _section("how", f"<p>{_told(story, 'how')}</p>"),
        _equations(about.equations),
        _section("numbers", _numbers(story)),
        _section("rule", f"<p>{_told(story, 'rule')}</p>"),
        _section("remark", f"<p>{_told(story, 'remark')}</p>") if about.remark else "",
        _section("command", f"<pre><code>{html.escape(result['command'])}</code></pre>"),
        f'<p class="small">{seconds}; {html.escape(versions)}</p>',
        _section("setting", f"<pre><code>{html.escape(setting)}</code></pre>"),
        _section("sources", _items(about.sources)),
        "</article>",
    ]
    return "\n".join(part for part in parts if part)


def _section(name: str, content: str) -> str:
    return f"<h3>{each(*WORDS[name])}</h3>\n{content}"


def _figure(story: Story, where: Path) -> str:
    picture = base64.b64encode((where / "picture.svg").read_bytes()).decode()
    en, zh = (html.escape(said(story, "picture", language)) for language in LANGUAGES)
    source = f"data:image/svg+xml;base64,{picture}"
    return f'<figure><img src="{source}" alt="{en}" data-zh="{zh}"></figure>'


def _live(name: str) -> str:
    """A link to what moves: the playground in the study's setting, or the race of frameworks."""
    if name == "five-books":
        return f"<p>{link(one_name.FILE, *WORDS['one_name'])}</p>"
    if name not in playground.PRESETS:
        return ""
    address = f"{playground.FILE}#{playground.PRESETS[name]}"
    return f"<p>{link(address, *WORDS['try'])}</p>"


def _equations(equations: Sequence[str]) -> str:
    lines = "".join(f"<p>{marked(equation)}</p>" for equation in equations)
    return f'<div class="equations">{lines}</div>' if equations else ""


def _numbers(story: Story) -> str:
    rows = [
        f'<tr><td>{each(*texts)}</td><td class="value">{number(story.result["numbers"][name])}'
        "</td></tr>"
        for name, texts in story.about.measured.items()
    ]
    return "\n".join(["<table>", *rows, "</table>"])


def _items(texts: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{marked(text)}</li>" for text in texts) + "</ul>"
