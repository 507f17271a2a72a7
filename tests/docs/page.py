"""What a page of the site holds, read in one pass."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path

ASSETS = {"script": "src", "img": "src", "source": "srcset", "iframe": "src", "link": "href"}


class Page(HTMLParser):
    """Addresses, anchors and pictures of one HTML file."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.assets: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.pictures: list[tuple[str, str]] = []  # address, alternative text
        self.language = ""
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "html":
            self.language = values.get("lang", "")
        if tag == "img":
            self.pictures.append((values["src"], values.get("alt", "")))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif address := values.get(ASSETS.get(tag, "")):
            self.assets.append(address)


page = cache(Page)
