"""Notebooks as pages: their cells and the outputs stored in them. Nothing is run."""

import json
from html import escape
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx


def _output(output: dict[str, Any], alt: str) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        picture = "".join(data["image/png"]).strip()
        return f'<img src="data:image/png;base64,{picture}" alt="{escape(alt)}">'
    text = "".join(output.get("text") or data.get("text/plain") or []).rstrip()
    return f"~~~~text\n{text}\n~~~~" if text else ""


def markdown(notebook: str) -> str:
    """The notebook as a Markdown page.

    A picture's alternative text is the entry `alt` of its cell's metadata.
    """
    parts = []
    for cell in json.loads(notebook)["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
        elif cell["cell_type"] == "code" and text:
            parts.append(f"~~~~python\n{text}\n~~~~")
            alt = cell["metadata"].get("alt", "what the code above draws")
            parts += [_output(output, alt) for output in cell["outputs"]]
    return "\n\n".join(parts)


class NotebookParser(MystParser):
    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        super().parse(markdown(inputstring), document)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
