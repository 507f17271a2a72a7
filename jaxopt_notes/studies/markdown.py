"""The gallery as Markdown, for the repository: one file a language."""

import json

from jaxopt_notes.studies.wording import (
    LANGUAGES,
    VERDICTS,
    Story,
    counted,
    marked,
    number,
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
        f"**{counted(stories, language)}**",
        _glance(stories, language),
    ]
    return "\n\n".join([*head, *(_article(story, language) for story in stories)]) + "\n"


def _text(text: str) -> str:
    """Marked, with what Markdown would take for its own kept from it."""
    return marked(text).replace("|", "\\|").replace("*", "\\*")


def _verdict(story: Story, language: str) -> str:
    sign, *names = VERDICTS[story.result["verdict"]["word"]]
    return f"{sign} {names[LANGUAGES.index(language)]}"


def _glance(stories: list[Story], language: str) -> str:
    rows = [
        f"| {s.about.number} | [{_text(said(s, 'title', language))}](#{s.name}) | "
        f"{_text(said(s, 'claim', language))} | {_verdict(s, language)} |"
        for s in stories
    ]
    head = f"| | | {word('claim', language)} | {word('verdict', language)} |"
    return "\n".join([head, "| --- | --- | --- | --- |", *rows])


def _article(story: Story, language: str) -> str:
    about, result, name = story.about, story.result, story.name

    stop = "." if language == "en" else "："

    def told(field: str) -> str:
        return _text(said(story, field, language))

    def headed(field: str) -> str:
        return f"**{word(field, language)}{stop}** {told(field)}"

    alt = said(story, "picture", language).replace("[", "(").replace("]", ")").replace("|", "\\|")
    setting = json.dumps(result["setting"], ensure_ascii=False)
    sources = "; ".join(map(_text, about.sources))
    files = " · ".join(f"[{f}]({name}/{f})" for f in ("result.json", "series.csv", "picture.png"))
    notes = word("notes", language).format(told("section"))
    parts = [
        f'<a id="{name}"></a>\n\n## {about.number}. {told("title")}',
        f"> {told('claim')}",
        f"**{_verdict(story, language)}{stop}** {told('reason')}",
        f"![{alt}]({name}/picture.svg)",
        headed("how"),
        "<br>".join(map(_text, about.equations)),
        _numbers(story, language),
        headed("rule"),
        headed("remark") if about.remark else "",
        f"**{word('command', language)}{stop}** `{result['command']}` ({result['seconds']:g} s)",
        f"**{word('setting', language)}{stop}** `{setting}`",
        f"**{word('sources', language)}{stop}** {notes}; {sources}",
        f"**{word('files', language)}{stop}** {files}",
    ]
    return "\n\n".join(part for part in parts if part)


def _numbers(story: Story, language: str) -> str:
    place, numbers = LANGUAGES.index(language), story.result["numbers"]
    rows = [
        f"| {_text(texts[place])} | {number(numbers[name])} |"
        for name, texts in story.about.measured.items()
    ]
    return "\n".join([f"| {word('numbers', language)} | |", "| --- | ---: |", *rows])
