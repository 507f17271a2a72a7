"""One claim's page: its finding, its verdict, its picture, and how both came about."""

import html
import json
from collections.abc import Callable, Sequence

from jaxopt_notes.studies import controls, one_name, page, playground
from jaxopt_notes.studies.live import live
from jaxopt_notes.studies.study import About
from jaxopt_notes.studies.wording import (
    KINDS,
    LANGUAGES,
    NEIGHBOURS,
    TAGS,
    VERDICTS,
    WORDS,
    Story,
    each,
    equations,
    judges,
    link,
    marked,
    number,
    picture,
    registration,
    source,
    text_of,
    versions,
    word,
)


def as_page(stories: Sequence[Story], at: int) -> str:
    """The whole page of one of the studies.

    Args:
      stories: all of them, in their order.
      at: the place of this one.
    """
    story = stories[at]
    body = "\n".join(
        [
            contents(stories, story.name),
            "<main>",
            f'<p class="bar">{link("../index.html", *WORDS["all"])}'
            '<button id="language" type="button">中文</button></p>',
            *_finding(story),
            *_evidence(story),
            _method(story),
            _section("sources", _sources(story)),
            _section("files", f"<p>{_files(story)}</p>"),
            _neighbours(stories, at),
            "</main>",
        ]
    )
    title, title_zh = (text_of(story, "finding", language) for language in LANGUAGES)
    return page.document(title, title_zh, body, controls.read("gallery.css"))


def contents(stories: Sequence[Story], here: str = "") -> str:
    """All studies, in view beside the page where it is wide enough.

    Args:
      stories: all of them.
      here: the one whose page this is; "" on the overview, which lies one folder higher.
    """
    up = "../" if here else ""
    items = [
        f'<li><a href="{up}{s.name}/index.html"{" aria-current=page" * (s.name == here)}>'
        f"<span>{s.about.number}. {each(s.about.title, s.about.title_zh)}</span>{sign(s)}</a></li>"
        for s in stories
    ]
    top = f'<p><a href="{up}index.html"{"" if here else " aria-current=page"}>'
    top += f"{each(*WORDS['all'])}</a></p>"
    return f'<nav class="contents">{top}<ul>{"".join(items)}</ul></nav>'


def sign(story: Story) -> str:
    """The verdict's sign, which its name explains."""
    verdict = story.result["verdict"]["word"]
    character, *names = VERDICTS[verdict]
    title = html.escape(" / ".join(names))
    return f'<span class="sign {_class(verdict)}" title="{title}">{character}</span>'


def verdict_of(word: str) -> str:
    """A verdict with its sign."""
    character, *names = VERDICTS[word]
    return f'<span class="verdict {_class(word)}">{character} {each(*names)}</span>'


def _class(word: str) -> str:
    return word.replace(" ", "-")


def in_both(story: Story, field: str) -> str:
    """A text of the study, in every language."""
    return each(*(text_of(story, field, language) for language in LANGUAGES))


def images(story: Story, folder: str, field: str) -> str:
    """The picture in every language, of which the page loads the one that it shows.

    Args:
      story: the study.
      folder: where its files are, seen from the page.
      field: the text that stands for the picture where it cannot be seen.
    """
    return "".join(
        f'<img lang="{tag}" loading="lazy" src="{folder}{picture(story, language)}" '
        f'alt="{html.escape(text_of(story, field, language))}">'
        for language, tag in zip(LANGUAGES, TAGS)
    )


def _finding(story: Story) -> list[str]:
    about, result = story.about, story.result
    notes = each(*(word("notes", la).format(text_of(story, "section", la)) for la in LANGUAGES))
    quick = f'<p class="warning">{each(*WORDS["quick"])}</p>' if result["quick"] else ""
    return [
        f'<p class="small">{about.number}. {each(about.title, about.title_zh)}</p>',
        f"<h1>{in_both(story, 'finding')}</h1>",
        quick,
        f"<blockquote>{in_both(story, 'claim')}",
        f'<p class="small">{notes}</p></blockquote>',
        f"<p>{verdict_of(result['verdict']['word'])} · {each(*KINDS[about.kind])} · "
        f"{in_both(story, 'reason')}</p>",
    ]


def _evidence(story: Story) -> list[str]:
    """The picture, what moves, how robust the verdict is, the comment and the numbers."""
    moving = live(story.name)
    return [
        f"<figure>{images(story, '', 'picture')}</figure>",
        _section("live", moving) if moving else "",
        _playground(story.name),
        _section("strip", _strip(story)),
        _section("remark", f"<p>{in_both(story, 'remark')}</p>") if story.about.remark else "",
        _section("numbers", _numbers(story)),
    ]


def _playground(name: str) -> str:
    """A link to what moves: the playground in the study's setting, or the race of frameworks."""
    if name == "five-books":
        return f"<p>{link(f'../{one_name.FILE}', *WORDS['one_name'])}</p>"
    if name not in playground.PRESETS:
        return ""
    address = f"../{playground.FILE}#{playground.PRESETS[name]}"
    return f"<p>{link(address, *WORDS['try'])}</p>"


def _strip(story: Story) -> str:
    """The verdict at each neighbour of the threshold and of the budget, and whether it stays."""
    cells = [
        f"<li>{each(*NEIGHBOURS.get(name, (name, name)))}<br>{verdict_of(verdict)}</li>"
        for name, verdict in story.result["strip"].items()
    ]
    whether = each(*WORDS["robust" if story.result["robust"] else "fragile"])
    return f'<ul class="strip">{"".join(cells)}<li class="whether">→ {whether}</li></ul>'


def _method(story: Story) -> str:
    result = story.result
    setting = json.dumps(result["setting"], ensure_ascii=False)
    seconds = each(*(text.format(result["seconds"]) for text in WORDS["measured"]))
    run = "".join(
        f'<span lang="{tag}">{html.escape(versions(result, language))}</span>'
        for tag, language in zip(TAGS, LANGUAGES)
    )
    tested = each(*(judges(result["test_set"] or "", language) for language in LANGUAGES))
    parts = [
        f"<details><summary>{each(*WORDS['method'])}</summary>",
        _section("how", f"<p>{in_both(story, 'how')}</p>"),
        _equations(story.about),
        _section("rule", f"<p>{in_both(story, 'rule')}</p>"),
        _section("registration", _line(registration, story)),
        _section("test_set", f"<p>{tested}</p>") if result["test_set"] else "",
        _section("command", f"<pre><code>{html.escape(result['command'])}</code></pre>"),
        f'<p class="small">{seconds}; {run}</p>',
        _section("setting", f"<pre><code>{html.escape(setting)}</code></pre>"),
        "</details>",
    ]
    return "\n".join(part for part in parts if part)


def _line(text: Callable[[Story, str], str], story: Story) -> str:
    return f"<p>{each(*(text(story, language) for language in LANGUAGES))}</p>"


def _section(name: str, content: str) -> str:
    return f"<h2>{each(*WORDS[name])}</h2>\n{content}"


def _equations(about: About) -> str:
    rows = zip(*(equations(about, language) for language in LANGUAGES))
    lines = "".join(f"<p>{each(*row)}</p>" for row in rows)
    return f'<div class="equations">{lines}</div>' if lines else ""


def _numbers(story: Story) -> str:
    rows = [
        f'<tr><td>{each(*texts)}</td><td class="value">{number(story.result["numbers"][name])}'
        "</td></tr>"
        for name, texts in story.about.measured.items()
    ]
    return "\n".join(["<table>", *rows, "</table>"])


def _sources(story: Story) -> str:
    return "<ul>" + "".join(f"<li>{marked(text)}</li>" for text in story.about.sources) + "</ul>"


def _files(story: Story) -> str:
    links = [f'<a href="{name}">{name}</a>' for name in ("result.json", "series.csv")]
    code = source(story)
    return " · ".join([*links, f'<a href="{code}">{code.rsplit("/", 1)[1]}</a>'])


def _neighbours(stories: Sequence[Story], at: int) -> str:
    """Links to the study before, to all, and to the next one."""
    links = [link("../index.html", *WORDS["all"])]
    for name, place in (("previous", at - 1), ("next", at + 1)):
        if 0 <= place < len(stories):
            other = stories[place]
            titles = (other.about.title, other.about.title_zh)
            inner = f"{each(*WORDS[name])}<br>{other.about.number}. {each(*titles)}"
            anchor = f'<a class="{name}" href="../{other.name}/index.html">{inner}</a>'
            links.insert(0 if name == "previous" else 2, anchor)
    return f'<nav class="neighbours">{"".join(links)}</nav>'
