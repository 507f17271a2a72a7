"""Every picture of the report, drawn again: no text is cut off, and none lies on another."""

import itertools
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from jaxopt_notes.studies import files, pictures, study, style
from jaxopt_notes.studies.__main__ import main

matplotlib = pytest.importorskip("matplotlib", reason="the pictures need matplotlib")

REPORT = Path(__file__).parents[2] / "docs" / "studies"
SMALLEST = 7.5  # points; a picture is 360 points wide, as a phone is


def texts(figure: Any) -> list[Any]:
    """All texts: (text, box, size). Ticks outside the axes exist, but are not drawn."""
    from matplotlib.text import Text

    drawn: dict[int, Text] = {}
    draw = Text.draw

    def note(self: Text, *args: Any, **keywords: Any) -> None:
        drawn[id(self)] = self
        draw(self, *args, **keywords)

    with patch.object(Text, "draw", note):
        figure.canvas.draw()
    written = [text for text in drawn.values() if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(), text.get_fontsize()) for text in written]


@pytest.mark.slow
@pytest.mark.parametrize("name", study.names())
def test_texts_are_readable_whole_and_apart(name: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    result = json.loads((REPORT / name / "result.json").read_text(encoding="utf-8"))
    before = files.stored(REPORT / name, result["key"])
    assert before is not None
    with matplotlib.rc_context(style.RC):
        figure = Figure(figsize=(style.WIDTH, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        study.load(name).draw(figure, before.measured)
        written = texts(figure)
    whole = figure.bbox
    assert written
    for what, box, size in written:
        assert size >= SMALLEST, what
        assert box.x0 >= whole.x0 - 1, what
        assert box.x1 <= whole.x1 + 1, what
        assert box.y0 >= whole.y0 - 1, what
        assert box.y1 <= whole.y1 + 1, what
    for (one, a, _), (other, b, _) in itertools.combinations(written, 2):
        common = max(0, min(a.x1, b.x1) - max(a.x0, b.x0)) * max(
            0, min(a.y1, b.y1) - max(a.y0, b.y0)
        )
        assert common <= 0.1 * min(a.width * a.height, b.width * b.height), (one, other)


@pytest.mark.slow
def test_the_whole_quick_report_runs_and_runs_on_where_it_stopped(
    tmp_path: Path, capsys: Any
) -> None:
    from matplotlib.figure import Figure

    save = Figure.savefig

    def save_svg(figure: Any, file: Any, format: str, **options: Any) -> None:
        if format == "svg":  # the PNG is the same drawing
            save(figure, file, format=format, **options)

    with patch.object(Figure, "savefig", save_svg):
        assert main(["report", "--quick", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    for name in study.names():
        assert f"{name}: " in output
        assert (tmp_path / name / "picture.svg").exists()
    seconds = {n: _result(tmp_path, n)["seconds"] for n in study.names()}
    (tmp_path / "flatten" / "result.json").unlink()
    with patch.object(pictures, "drawn", lambda *_: {}):  # the first report drew them
        assert main(["report", "--quick", "--out", str(tmp_path)]) == 0
    again = {n: _result(tmp_path, n)["seconds"] for n in study.names() if n != "flatten"}
    assert again == {n: s for n, s in seconds.items() if n != "flatten"}


@pytest.mark.parametrize("name", study.names())
def test_the_report_is_of_the_code_as_it_is(name: str) -> None:
    result = _result(REPORT, name)
    python = result["versions"]["python"].rsplit(".", 1)[0]
    if python != f"{sys.version_info[0]}.{sys.version_info[1]}":
        pytest.skip(f"the report was made by Python {python}, which spells code in its own way")
    setting = study.about(name).setting
    if result["test_set"]:
        setting = {**setting, "test_set": result["test_set"]}
    assert result["key"] == study.key(name, setting), (
        "run `python -m jaxopt_notes.studies report --out docs/studies`"
    )


def _result(where: Path, name: str) -> dict[str, Any]:
    return json.loads((where / name / "result.json").read_text(encoding="utf-8"))
