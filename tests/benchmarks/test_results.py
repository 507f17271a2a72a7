"""Tables, JSON and pictures, on numbers that were made up."""

import json

import pytest

from benchmarks import report, start_up, time_to_accuracy, train_step, update_step
from benchmarks.harness import Measured, Spread
from benchmarks.machine import facts, folder_name, header
from jaxopt_notes.errors import InputError
from tests.benchmarks.some_machine import MACHINE


def measured(seconds, **facts):
    rounds = [seconds, 1.1 * seconds, 1.2 * seconds]
    return Measured({"seconds": rounds, "faults": [1.0, 2.0, 3.0]}, facts)


@pytest.fixture
def steps():
    """Results of `train_step`: one of torch's contestants could not be compiled."""
    return {
        "ours": measured(0.02, temporary_bytes=20_000_000, build_seconds=3.0),
        train_step.OFFICIAL: measured(0.1, call_overhead_seconds=0.005),
        "torch eager, contiguous": measured(0.05),
        "torch eager, channels last": measured(0.04),
        "torch compiled, contiguous": Measured(absent="failed: no compiler"),
    }


@pytest.fixture
def updates():
    """Results of `update_step`: one rule on two trees."""
    times = {"ours": 1.0, update_step.BASELINE: 2.0, update_step.FLOOR: 0.5, "torch fused": 4.0}
    contestants = {name: measured(1e-3 * t) for name, t in times.items()}
    for name in ("ours", update_step.BASELINE):
        contestants[name].samples |= {"trace_seconds": [0.1], "compile_seconds": [0.2]}
    return {"cnn": {"adam": contestants}, "mixed": {"adam": contestants}}


def test_the_step_table_compares_with_the_official_manner_and_the_best_torch(steps):
    ours = next(line for line in train_step.table(steps).splitlines() if "| ours" in line)
    cells = [cell.strip() for cell in ours.strip("|").split("|")]
    assert cells == [
        *("ours", "22.0 (21.0–23.0)", "0.200", "0.500", "20.0", "2.00", "–", "3.00"),
    ]
    assert report.absences(steps) == ["torch compiled, contiguous was skipped: failed: no compiler"]


def test_the_update_table_has_the_bytes_moved_a_second(updates):
    text = update_step.table(updates["cnn"]["adam"], moved=11_000_000)
    ours = next(line for line in text.splitlines() if "| ours" in line)
    cells = [cell.strip() for cell in ours.strip("|").split("|")]
    assert cells[2:6] == ["0.500", "2.00", "0.250", "10.0"]
    assert cells[6:] == ["100", "1.00", "200", "1.00", "–", "2.00"]


def test_the_other_tables_skip_whom_they_could_not_measure():
    done = Measured(
        {
            "seconds": [10.0, 12.0, 11.0],
            "accuracy": [0.99, 0.98, 0.991],
        }
    )
    text = time_to_accuracy.table({"ours, cold": done, "torch": Measured(absent="not installed")})
    assert "98.70%" in text
    assert "98.00%" in text
    assert "torch  " not in text
    text = start_up.table({"python itself": measured(0.1), "import jaxopt_notes": measured(0.2)})
    assert "2.00" in text


def test_results_are_written_whole_and_read_back(tmp_path, steps):
    panels = train_step.panels({128: steps})
    message = report.write(tmp_path, MACHINE, "train_step", train_step.summary(steps), panels)
    folder = tmp_path / "some-cpu-2-cores"
    assert str(folder) in message
    assert sorted(path.name for path in folder.iterdir()) == ["train_step.json", "train_step.png"]
    value = json.loads((folder / "train_step.json").read_text())
    assert value["machine"] == MACHINE
    assert value["ours"]["ratio_to_official"][0] == pytest.approx(0.2)
    assert value["ours"]["seconds_median"] == pytest.approx(0.022)
    assert value["torch compiled, contiguous"]["absent"] == "failed: no compiler"
    assert (folder / "train_step.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "some-cpu-2-cores").write_text("a file in the way")
    with pytest.raises(InputError, match="cannot be written"):
        report.write(tmp_path, MACHINE, "x", {}, [])


def test_pictures_take_one_series_or_several_and_gaps(updates):
    panels = update_step.panels(updates)
    assert [panel.title for panel in panels] == ["cnn", "mixed"]
    gap = report.Panel("gaps", "s", ["a", "b"], {"x": [None, Spread(1.0, 0.5, 2.0)], "y": [None]})
    figure = report.draw("update_step", MACHINE, [*panels, gap, gap])
    assert len(figure.axes) == 6


def test_this_machine_is_named():
    here = facts()
    assert here["cores"] >= 1
    assert "jax " in header(here)
    assert folder_name(here)
