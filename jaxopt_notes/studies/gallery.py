"""All studies that have run, as one page that needs nothing else, and as Markdown."""

import base64
import html
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes import files
from jaxopt_notes.studies import markdown, one_name, page, playground, study
from jaxopt_notes.studies.wording import (
    KINDS,
    LANGUAGES,
    VERDICTS,
    WORDS,
    Story,
    counted,
    each,
    link,
    marked,
    number,
    registration,
    robustness,
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
        _counts(stories),
        f"<p>{each(*WORDS['quick'])}</p>" if quick else "",
        _glance(stories),
    ]
    body = "\n".join([*head, *(_article(story, out / story.name) for story in stories)])
    return page.document(*WORDS["title"], body)


def _counts(stories: list[Story]) -> str:
    """The overview: how many claims of each kind have each verdict."""
    names = "".join(f'<th class="value">{each(*texts[1:])}</th>' for texts in VERDICTS.values())
    rows = [
        f"<tr><td>{each(*KINDS[kind])}</td>"
        + "".join(f'<td class="value">{count}</td>' for count in counts)
        + "</tr>"
        for kind, counts in counted(stories)
    ]
    head = f"<tr><th>{each(*WORDS['kind'])}</th>{names}</tr>"
    return "\n".join(["<table>", head, *rows, "</table>"])


def _told(story: Story, field: str) -> str:
    return each(*(said(story, field, language) for language in LANGUAGES))


def _verdict(story: Story) -> str:
    verdict = story.result["verdict"]["word"]
    sign, *names = VERDICTS[verdict]
    return f'<span class="verdict {verdict.replace(" ", "-")}">{sign} {each(*names)}</span>'


def _glance(stories: list[Story]) -> str:
    columns = ("claim", "kind", "verdict")
    head = f"<tr>{''.join(f'<th>{each(*WORDS[c])}</th>' for c in columns)}</tr>"
    rows = [
        f'<tr><td><a href="#{s.name}">{s.about.number}. {_told(s, "finding")}</a>'
        f'<p class="small">{_told(s, "claim")}</p></td>'
        f"<td>{each(*KINDS[s.about.kind])}</td><td>{_verdict(s)}</td></tr>"
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
        f"<h2>{about.number}. {_told(story, 'finding')}</h2>",
        f"<blockquote>{_told(story, 'claim')}</blockquote>",
        f'<p class="small">{notes}</p>',
        f"<p>{_verdict(story)} ({each(*KINDS[about.kind])}) · {_told(story, 'reason')}</p>",
        _figure(story, where),
        _live(story.name),
        _section("strip", _line(robustness, story)),
        _section("remark", f"<p>{_told(story, 'remark')}</p>") if about.remark else "",
        _section("numbers", _numbers(story)),
        f"<details><summary>{each(*WORDS['method'])}</summary>",
        _section("how", f"<p>{_told(story, 'how')}</p>"),
        _equations(about.equations),
        _section("rule", f"<p>{_told(story, 'rule')}</p>"),
        _section("registration", _line(registration, story)),
        _section("test_set", f"<p>{result['test_set']}</p>") if result["test_set"] else "",
        _section("command", f"<pre><code>{html.escape(result['command'])}</code></pre>"),
        f'<p class="small">{seconds}; {html.escape(versions)}</p>',
        _section("setting", f"<pre><code>{html.escape(setting)}</code></pre>"),
        "</details>",
        _section("sources", _items(about.sources)),
        "</article>",
    ]
    return "\n".join(part for part in parts if part)


def _line(text: Callable[[Story, str], str], story: Story) -> str:
    return f"<p>{each(*(text(story, language) for language in LANGUAGES))}</p>"


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
