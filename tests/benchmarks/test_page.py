"""`python -m benchmarks --all`: the page about a machine, beside the committed results."""

import json
import re
from types import SimpleNamespace

import pytest

from benchmarks import everything, figures, page
from benchmarks.command import RESULTS
from benchmarks.machine import folder_name
from benchmarks.processes import Failed
from tests.benchmarks import some_machine

MACHINE = some_machine.MACHINE | {"cpu": "Some <CPU>(R) @ 3 GHz", "vectors": "avx2"}
PNG = b"\x89PNG a picture"
PRINTED = """Some CPU
batch 128
| contestant | ms |
| :--------- | -: |
| ours & co  |  1 |
torch was skipped: torch is not installed
/somewhere/train_step.json and .png
"""


@pytest.fixture
def measured(tmp_path):
    """A folder of results with one benchmark, and a committed folder with another number."""
    for name, ratio in (("here/this", 0.25), ("committed/other-machine", 0.125)):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        ours = {"ratio_to_official": [ratio, ratio, ratio]}
        value = {"machine": MACHINE, "batches": {"128": {"ours": ours}}}
        (folder / "train_step.json").write_text(json.dumps(value))
        (folder / "train_step.png").write_bytes(PNG)
    return tmp_path


def test_the_page_has_ratios_pictures_and_who_failed(measured):
    folder = measured / "here" / "this"
    command = "python -m benchmarks.train_step --quick"
    sections = [
        page.Section("train_step", "one step", command, PRINTED),
        page.Section("soak", "memory", "", failed="failed: no /proc"),
    ]
    path = page.write(folder, MACHINE, sections, measured / "committed", quick=True)
    text, html = (folder / "benchmarks.md").read_text(), path.read_text()
    row = next(line for line in text.splitlines() if "flax's official manner" in line)
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == ["0.250", "0.125"]
    assert "| other-machine |" in text
    assert "**soak** was not measured: failed: no /proc" in text
    assert "![train_step](train_step.png)" in text
    assert "torch is not installed" in text
    assert "/somewhere" not in text
    assert page.QUICK in text
    assert "<strong>soak</strong>" in html
    assert "<td>ours &amp; co</td><td>1</td>" in html
    assert "Some &lt;CPU&gt;" in html
    assert "data:image/png;base64,iVBORyBhIHBpY3R1cmU=" in html
    assert not re.search(r'(src|href)="(?!data:)|https?:', html)  # it needs no other file
    assert "\n|" not in html


def test_a_benchmark_that_fails_does_not_stop_the_others(monkeypatch, tmp_path, capsys):
    def timed_process(arguments, environment):
        assert arguments[-2:] == ["--out", str(tmp_path)]
        assert "--quick" in arguments
        if "benchmarks.start_up" in arguments:
            raise Failed("failed: error: no room")
        return SimpleNamespace(printed=PRINTED)

    monkeypatch.setattr(everything, "timed_process", timed_process)
    monkeypatch.setattr("benchmarks.machine.facts", lambda: MACHINE)
    everything.measure(["start_up", "train_step", "soak"], quick=True, out=tmp_path)
    text = (tmp_path / "some-cpu-avx2-2-cores" / "benchmarks.md").read_text()
    assert "**start_up** was not measured: failed: error: no room" in text
    assert "## train_step:" in text
    assert "## soak:" in text
    printed = capsys.readouterr().out
    assert "[1/3] start_up" in printed
    assert "then train_step, soak" in printed
    assert "no room" in printed
    assert "benchmarks.html" in printed


def test_committed_results_lie_under_their_machines_name():
    files = list(RESULTS.glob("*/*.json"))
    assert files
    for file in files:
        assert folder_name(json.loads(file.read_text())["machine"]) == file.parent.name


@pytest.mark.parametrize("benchmark", ["train_step", "update_step", "same_update", "start_up"])
def test_each_figure_stands_in_the_committed_results(benchmark):
    """A machine may lack a benchmark, but not a figure of one that it ran."""
    folders = {f.name: f for f in RESULTS.iterdir() if (f / f"{benchmark}.json").exists()}
    table = figures.side_by_side(folders, [benchmark])
    assert len(folders) > 1
    assert len(table.splitlines()) == 2 + len(figures.FIGURES[benchmark])
    assert "–" not in table
