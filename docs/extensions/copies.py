"""What pages name by HTML of their own is copied as it is: pictures, and the studies' pages."""

import shutil
from pathlib import Path

from sphinx.application import Sphinx

FOLDERS = ("pictures", "studies")
ENDINGS = (".html", ".png", ".svg", ".json", ".csv")


def _copy(app: Sphinx, failure: Exception | None) -> None:
    for path in [] if failure else Path(app.srcdir).rglob("*"):
        inside = path.relative_to(app.srcdir)
        if inside.parts[0] in FOLDERS and path.suffix in ENDINGS:
            copy = app.outdir / inside
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", _copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
