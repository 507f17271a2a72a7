"""`python scripts/run_notebooks.py` runs docs/notebooks/*.ipynb and saves their outputs.

`python scripts/run_notebooks.py NAME …` runs some of them. Each runs in this process as a kernel
would run it: cells in order in one namespace, printed text and pictures below their cell. The
notebooks print what they show, so the value of a cell's last line is left out. Needs what the
notebooks need.
"""

import base64
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image

from jaxopt_notes import files

NOTEBOOKS = Path(__file__).parent.parent / "docs" / "notebooks"


def run(notebook: dict[str, Any], name: str) -> None:
    """Runs the cells, and puts each cell's outputs in place of those it had."""
    import matplotlib.pyplot as plt

    names: dict[str, Any] = {"__name__": "__main__"}
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(codes, start=1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("".join(cell["source"]), f"{name}, cell {number}", "exec"), names)
        cell["execution_count"] = number
        cell["outputs"] = [*texts(printed.getvalue()), *map(picture, plt.get_fignums())]
        plt.close("all")


def texts(printed: str) -> list[dict[str, Any]]:
    """What was printed, as a notebook keeps it."""
    lines = printed.splitlines(keepends=True)
    return [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []


def picture(number: int) -> dict[str, Any]:
    """An open figure of pyplot, as a PNG of 64 colours."""
    import matplotlib.pyplot as plt

    drawn, small = io.BytesIO(), io.BytesIO()
    plt.figure(number).savefig(drawn, format="png", dpi=80, bbox_inches="tight", facecolor="white")
    few = Image.open(drawn).convert("RGB").quantize(64, Image.Quantize.MAXCOVERAGE)
    few.save(small, format="png", optimize=True)
    data = {"image/png": base64.b64encode(small.getvalue()).decode(), "text/plain": ["<Figure>"]}
    return {"data": data, "metadata": {}, "output_type": "display_data"}


def main() -> None:
    """Runs and saves."""
    matplotlib.use("agg")
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if sys.argv[1:] and path.stem not in sys.argv[1:]:
            continue
        notebook = json.loads(path.read_text(encoding="utf-8"))
        run(notebook, path.stem)
        files.write_text(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
