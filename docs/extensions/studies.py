"""The pages of the studies, which are whole by themselves, are copied as they are."""

import shutil
from pathlib import Path

from sphinx.application import Sphinx

ENDINGS = (".html", ".png", ".svg", ".json", ".csv")


def _copy(app: Sphinx, failure: Exception | None) -> None:
    if failure:
        return
    source = Path(app.srcdir, "studies")
    for path in source.rglob("*"):
        if path.suffix in ENDINGS:
            copy = Path(app.outdir, "studies", path.relative_to(source))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", _copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
