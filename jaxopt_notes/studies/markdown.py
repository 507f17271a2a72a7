"""The gallery as Markdown, for the repository: one file a language."""

import json

from jaxopt_notes.studies.wording import (
    KINDS,
    LANGUAGES,
    VERDICTS,
    Story,
    counted,
    marked,
    number,
    registration,
    robustness,
    said,
    word,
)


def page(stories: list[Story], language: str) -> str:
    """The whole file."""
    other = {"en": "[中文](README.zh-CN.md)", "zh": "[English](README.md)"}[language]
    quick = any(story.result["quick"] for story in stories)
    head = [
        f"# {word('title', language)}",
        other,
        word("intro", language),
        f"[{word('one_name', language)}](one-name.html){word('open', language)}",
        f"[{word('playground', language)}](playground.html){word('open', language)}",
        *([word("quick", language)] if quick else []),
        _counts(stories, language),
        _glance(stories, language),
    ]
    return "\n\n".join([*head, *(_article(story, language) for story in stories)]) + "\n"


def _counts(stories: list[Story], language: str) -> str:
    """The overview: how many claims of each kind have each verdict."""
    place = LANGUAGES.index(language)
    head = [word("kind", language), *(names[1 + place] for names in VERDICTS.values())]
    rows = [[KINDS[kind][place], *map(str, counts)] for kind, counts in counted(stories)]
    lines = [head, ["---", *["---:"] * len(VERDICTS)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Marked, with what Markdown would take for its own kept from it."""
    return marked(text).replace("|", "\\|").replace("*", "\\*")


def _verdict(story: Story, language: str) -> str:
    sign, *names = VERDICTS[story.result["verdict"]["word"]]
    return f"{sign} {names[LANGUAGES.index(language)]}"


def _glance(stories: list[Story], language: str) -> str:
    place = LANGUAGES.index(language)
    rows = [
        f"| {s.about.number} | [{_text(said(s, 'finding', language))}](#{s.name}) | "
        f"{_text(said(s, 'claim', language))} | {KINDS[s.about.kind][place]} | "
        f"{_verdict(s, language)} |"
        for s in stories
    ]
    columns = ("claim", "kind", "verdict")
    head = f"| | | {' | '.join(word(column, language) for column in columns)} |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


def _article(story: Story, language: str) -> str:
    about, result, name = story.about, story.result, story.name

    stop = ":" if language == "en" else "："

    def told(field: str) -> str:
        return _text(said(story, field, language))

    def line(field: str, text: str) -> str:
        return f"**{word(field, language)}{stop}** {text}"

    def headed(field: str) -> str:
        return line(field, told(field))

    alt = said(story, "picture", language).replace("[", "(").replace("]", ")").replace("|", "\\|")
    setting = json.dumps(result["setting"], ensure_ascii=False)
    sources = "; ".join(map(_text, about.sources))
    files = " · ".join(f"[{f}]({name}/{f})" for f in ("result.json", "series.csv", "picture.png"))
    notes = word("notes", language).format(told("section"))
    parts = [
        f'<a id="{name}"></a>\n\n## {about.number}. {told("finding")}',
        f"> {told('claim')}",
        f"**{_verdict(story, language)}** ({KINDS[about.kind][LANGUAGES.index(language)]}){stop} "
        f"{told('reason')}",
        f"![{alt}]({name}/picture.svg)",
        line("strip", robustness(story, language)),
        headed("remark") if about.remark else "",
        _numbers(story, language),
        f"<details><summary>{word('method', language)}</summary>",
        headed("how"),
        "<br>".join(map(_text, about.equations)),
        headed("rule"),
        line("registration", registration(story, language)),
        line("command", f"`{result['command']}` ({result['seconds']:g} s)"),
        line("test_set", result["test_set"]) if result["test_set"] else "",
        line("setting", f"`{setting}`"),
        "</details>",
        line("sources", f"{notes}; {sources}"),
        line("files", files),
    ]
    return "\n\n".join(part for part in parts if part)


def _numbers(story: Story, language: str) -> str:
    place, numbers = LANGUAGES.index(language), story.result["numbers"]
    rows = [
        f"| {_text(texts[place])} | {number(numbers[name])} |"
        for name, texts in story.about.measured.items()
    ]
    return "\n".join([f"| {word('numbers', language)} | |", "| --- | ---: |", *rows])
