"""All studies that have run, as pages that need nothing else, and as Markdown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes import files
from jaxopt_notes.studies import claim_page, controls, markdown, one_name, page, playground, study
from jaxopt_notes.studies.wording import (
    FILES,
    KINDS,
    LANGUAGES,
    VERDICTS,
    WORDS,
    Story,
    counted,
    each,
    link,
)


def write(out: Path, results: Sequence[dict[str, Any]]) -> list[Path]:
    """Writes the overview, the pages that move, and beside each study's files its page.

    Args:
      out: where the studies' own files are.
      results: what each study's result.json holds.

    Returns:
      The files of `out` itself.
    """
    texts = pages([Story(r["name"], study.about(r["name"]), r) for r in results])
    for name, text in texts.items():
        files.write_text(out / name, text)
    return [out / name for name in texts if "/" not in name]


def pages(stories: Sequence[Story]) -> dict[str, str]:
    """Each page's text, by its file."""
    texts = {
        "index.html": as_page(stories),
        playground.FILE: playground.as_page(),
        one_name.FILE: one_name.as_page(),
        **{FILES[language]: markdown.overview(stories, language) for language in LANGUAGES},
    }
    for at, story in enumerate(stories):
        texts[f"{story.name}/index.html"] = claim_page.as_page(stories, at)
        for language in LANGUAGES:
            texts[f"{story.name}/{FILES[language]}"] = markdown.claim(stories, at, language)
    return texts


def as_page(stories: Sequence[Story]) -> str:
    """The overview."""
    quick = any(story.result["quick"] for story in stories)
    body = [
        claim_page.contents(stories),
        "<main>",
        f'<div class="bar"><h1>{each(*WORDS["title"])}</h1>',
        '<button id="language" type="button">中文</button></div>',
        f"<p>{each(*WORDS['intro'])}</p>",
        f"<details><summary>{each(*WORDS['reading'])}</summary>",
        f"<p>{each(*WORDS['terms'])}</p></details>",
        f"<p>{link(one_name.FILE, *WORDS['one_name'])}</p>",
        f"<p>{link(playground.FILE, *WORDS['playground'])}</p>",
        f'<p class="warning">{each(*WORDS["quick"])}</p>' if quick else "",
        _counts(stories),
        *(_card(story) for story in stories),
        "</main>",
    ]
    return page.document(*WORDS["title"], "\n".join(body), controls.read("gallery.css"))


def _counts(stories: Sequence[Story]) -> str:
    """The overview: how many claims of each kind have each verdict."""
    names = "".join(f'<th class="value">{each(*texts[1:])}</th>' for texts in VERDICTS.values())
    rows = [
        f"<tr><td>{each(*KINDS[kind])}</td>"
        + "".join(f'<td class="value">{count}</td>' for count in counts)
        + "</tr>"
        for kind, counts in counted(stories)
    ]
    head = f"<tr><th>{each(*WORDS['kind'])}</th>{names}</tr>"
    return "\n".join(['<table class="counts">', head, *rows, "</table>"])


def _card(story: Story) -> str:
    """A study in the overview: the top of its picture, its finding, its claim, its verdict."""
    about, result = story.about, story.result
    whether = each(*WORDS["robust" if result["robust"] else "fragile"])
    return "\n".join(
        [
            f'<article class="card" id="{story.name}">',
            f'<a class="look" href="{story.name}/index.html" tabindex="-1">'
            f"{claim_page.images(story, f'{story.name}/', 'title')}</a>",
            f'<div><h2><a href="{story.name}/index.html">{about.number}. '
            f"{claim_page.in_both(story, 'finding')}</a></h2>",
            f"<p>{claim_page.in_both(story, 'claim')}</p>",
            f'<p class="small">{claim_page.verdict_of(result["verdict"]["word"])} · '
            f"{each(*KINDS[about.kind])} · {whether}</p></div>",
            "</article>",
        ]
    )
