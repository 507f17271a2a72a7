"""The gallery as Markdown, for the repository: an overview and a file a claim, in each language."""

import json
from collections.abc import Sequence

from jaxopt_notes.studies import one_name, playground
from jaxopt_notes.studies.wording import (
    FILES,
    KINDS,
    LANGUAGES,
    VERDICTS,
    Story,
    counted,
    equations,
    judges,
    marked,
    number,
    picture,
    registration,
    robustness,
    source,
    text_of,
    versions,
    word,
)


def overview(stories: Sequence[Story], language: str) -> str:
    """The file that lists all claims."""
    quick = any(story.result["quick"] for story in stories)
    pages = [
        f"- [{word('web', language)}](index.html)",
        *(
            f"- [{word(name, language)}]({file}){word('open', language)}"
            for name, file in (("one_name", one_name.FILE), ("playground", playground.FILE))
        ),
    ]
    parts = [
        f"# {word('title', language)}",
        _other(language),
        word("intro", language),
        "\n".join(pages),
        word("quick", language) if quick else "",
        _counts(stories, language),
        _glance(stories, language),
        word("terms", language),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def claim(stories: Sequence[Story], at: int, language: str) -> str:
    """One claim's file: its finding, its verdict, its picture, its numbers, its method.

    Args:
      stories: all of them, in their order.
      at: the place of this one.
      language: one of LANGUAGES.
    """
    story = stories[at]
    about = story.about
    place = LANGUAGES.index(language)
    alt = (
        text_of(story, "picture", language).replace("[", "(").replace("]", ")").replace("|", "\\|")
    )
    kind = (" ({}): ", "（{}）：")[place].format(KINDS[about.kind][place])
    parts = [
        f"# {_told(story, 'finding', language)}",
        f"{about.number}. {_told(story, 'title', language)} · {_other(language)}",
        word("quick", language) if story.result["quick"] else "",
        f"> {_told(story, 'claim', language)}",
        f"**{_verdict(story, language)}**{kind}{_told(story, 'reason', language)}",
        f"![{alt}]({picture(story, language)})",
        _line("strip", robustness(story, language), language),
        _headed(story, "remark", language) if about.remark else "",
        _numbers(story, language),
        *_method(story, language),
        _line("sources", _sources(story, language), language),
        _line("files", _files(story), language),
        _neighbours(stories, at, language),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _other(language: str) -> str:
    """A link to the same file in the other language."""
    return {"en": f"[中文]({FILES['zh']})", "zh": f"[English]({FILES['en']})"}[language]


def _stop(language: str) -> str:
    return {"en": ":", "zh": "："}[language]


def _counts(stories: Sequence[Story], language: str) -> str:
    """The overview: how many claims of each kind have each verdict."""
    place = LANGUAGES.index(language)
    head = [word("kind", language), *(names[1 + place] for names in VERDICTS.values())]
    rows = [[KINDS[kind][place], *map(str, counts)] for kind, counts in counted(stories)]
    lines = [head, ["---", *["---:"] * len(VERDICTS)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Marked, with what Markdown would take for its own kept from it."""
    return marked(text).replace("|", "\\|").replace("*", "\\*")


def _told(story: Story, field: str, language: str) -> str:
    return _text(text_of(story, field, language))


def _line(field: str, text: str, language: str) -> str:
    return f"**{word(field, language)}{_stop(language)}** {text}"


def _headed(story: Story, field: str, language: str) -> str:
    return _line(field, _told(story, field, language), language)


def _verdict(story: Story, language: str) -> str:
    sign, *names = VERDICTS[story.result["verdict"]["word"]]
    return f"{sign} {names[LANGUAGES.index(language)]}"


def _glance(stories: Sequence[Story], language: str) -> str:
    place = LANGUAGES.index(language)
    rows = [
        f"| {s.about.number} | [{_told(s, 'finding', language)}]({s.name}/{FILES[language]}) | "
        f"{_told(s, 'claim', language)} | {KINDS[s.about.kind][place]} | "
        f"{_verdict(s, language)} |"
        for s in stories
    ]
    columns = ("finding", "claim", "kind", "verdict")
    head = f"| | {' | '.join(word(column, language) for column in columns)} |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


def _method(story: Story, language: str) -> list[str]:
    """What is folded."""
    result = story.result
    setting = json.dumps(result["setting"], ensure_ascii=False)
    seconds, run = word("measured", language).format(result["seconds"]), versions(result, language)
    return [
        f"<details><summary>{word('method', language)}</summary>",
        _headed(story, "how", language),
        "<br>".join(map(_text, equations(story.about, language))),
        _headed(story, "rule", language),
        _line("registration", registration(story, language), language),
        _line("test_set", judges(result["test_set"], language), language)
        if result["test_set"]
        else "",
        _line("command", f"`{result['command']}` ({seconds}; {run})", language),
        _line("setting", f"`{setting}`", language),
        "</details>",
    ]


def _numbers(story: Story, language: str) -> str:
    place, numbers = LANGUAGES.index(language), story.result["numbers"]
    rows = [
        f"| {_text(texts[place])} | {number(numbers[name])} |"
        for name, texts in story.about.measured.items()
    ]
    return "\n".join([f"| {word('numbers', language)} | |", "| --- | ---: |", *rows])


def _sources(story: Story, language: str) -> str:
    notes = word("notes", language).format(_told(story, "section", language))
    return "; ".join([notes, *map(_text, story.about.sources)])


def _files(story: Story) -> str:
    code = source(story)
    links = [f"[{name}]({name})" for name in ("result.json", "series.csv", "picture.png")]
    return " · ".join([*links, f"[{code.rsplit('/', 1)[1]}]({code})"])


def _neighbours(stories: Sequence[Story], at: int, language: str) -> str:
    """Links to the study before, to all, and to the next one."""
    links = [f"[{word('all', language)}](../{FILES[language]})"]
    for name, place in (("previous", at - 1), ("next", at + 1)):
        if 0 <= place < len(stories):
            other = stories[place]
            title = f"{other.about.number}. {_told(other, 'title', language)}"
            text = f"{word(name, language)}{_stop(language)} "
            links.append(f"{text}[{title}](../{other.name}/{FILES[language]})")
    return " · ".join(links)
