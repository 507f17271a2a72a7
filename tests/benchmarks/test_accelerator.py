"""The run of a GPU: parts that fail, time limits, files. Nothing is measured here."""

import json
import os
import signal
import time

import pytest

from benchmarks import accelerator, aims, equality, update_step, whole_run
from benchmarks.ceilings import COPY, TF32
from benchmarks.harness import Measured
from benchmarks.machine import KNOWN, facts
from benchmarks.processes import Failed, Limited, limited_process
from tests.benchmarks.some_machine import MACHINE

FOLDER = "some-cpu-2-cores"
GPT2 = "gpt2-small-like"


CUT = "stopped at its time limit, 9 s"  # with a file that holds what was measured


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """(each part's arguments and time limit, failures): a part in `failures` fails."""
    started, failures = {}, {}

    def limited(arguments, environment, limit, show):
        name = arguments[1].removeprefix("benchmarks.")
        started[name] = arguments, limit
        assert json.loads(environment[KNOWN]) == MACHINE
        if failures.get(name) == CUT:
            (tmp_path / FOLDER / f"{name}.json").write_text("{}")
        printed = f"Some CPU\nrow of {name}, run {len(failures)}\nfile\n"
        return Limited(printed, failures.get(name, ""))

    monkeypatch.setattr(accelerator, "limited_process", limited)
    monkeypatch.setattr("benchmarks.machine.facts", lambda: MACHINE)
    monkeypatch.setattr(accelerator.time, "monotonic", lambda: 0.0)
    return started, failures


def test_a_part_that_fails_is_named_and_the_others_go_on(ran, tmp_path, capsys):
    started, failures = ran
    failures["train_step"] = "failed: no such card"
    assert accelerator.main(["--out", str(tmp_path)]) == 0
    assert list(started) == list(accelerator.PARTS)
    assert "\ntrain_step failed: no such card\n" in capsys.readouterr().out
    page = (tmp_path / FOLDER / "benchmarks.md").read_text()
    assert "**train_step** is incomplete: failed: no such card" in page
    assert "row of kernels" in page


def test_without_any_result_the_exit_code_is_2(ran, tmp_path, capsys):
    ran[1].update(dict.fromkeys(accelerator.PARTS, "failed: no module"))
    assert accelerator.main(["--out", str(tmp_path)]) == 2
    assert "no part has a result; failed: no module" in capsys.readouterr().err


def test_a_part_that_is_cut_counts_if_it_wrote_something(ran, tmp_path, capsys):
    ran[1]["kernels"] = CUT
    for _ in range(2):
        assert accelerator.main(["--out", str(tmp_path), "--parts", "kernels"]) == 0
    assert f"kernels {CUT}" in capsys.readouterr().out
    ran[1]["kernels"] = "failed: the earlier run's file is not a result of this run"
    assert accelerator.main(["--out", str(tmp_path), "--parts", "kernels"]) == 2


def test_a_second_run_replaces_its_parts_and_keeps_the_others(ran, tmp_path):
    assert accelerator.main(["--out", str(tmp_path), "--parts", "ceilings,kernels"]) == 0
    ran[1]["kernels"] = "failed: later"
    assert accelerator.main(["--out", str(tmp_path), "--parts", "kernels"]) == 2
    stored = json.loads((tmp_path / FOLDER / "accelerator.json").read_text())
    assert [(row["name"], row["failed"]) for row in stored["parts"]] == [
        ("ceilings", ""),
        ("kernels", "failed: later"),
    ]
    assert "run 0" in stored["parts"][0]["printed"]
    assert "run 1" in stored["parts"][1]["printed"]
    (tmp_path / FOLDER / "accelerator.json").write_text('{"parts": [')  # as another program left it
    assert accelerator.main(["--out", str(tmp_path), "--parts", "ceilings"]) == 0


def test_time_that_a_part_leaves_is_for_the_next_one_and_minutes_end_the_run(ran, tmp_path):
    started, _ = ran
    parts = ["--parts", "ceilings,equality,train_step"]
    assert accelerator.main(["--out", str(tmp_path), "--minutes", "1", *parts]) == 0
    first, second, third = (limit for _, limit in started.values())
    assert (first, second, third) == (25, 60, 60)  # 25 + 75, if the minute did not end
    assert accelerator.main(["--minutes", "0"]) == 2


def test_a_part_without_time_is_not_begun(ran, monkeypatch, tmp_path):
    clock = iter(range(0, 10_000, 58))
    monkeypatch.setattr(accelerator.time, "monotonic", lambda: next(clock))
    names = "equality,train_step"
    assert accelerator.main(["--out", str(tmp_path), "--minutes", "1", "--parts", names]) == 2
    assert not ran[0]


def test_quick_narrows_each_part(ran, tmp_path):
    assert accelerator.main(["--out", str(tmp_path), "--quick", "--parts", "train_step"]) == 0
    command = ran[0]["train_step"][0]
    assert command[-6:] == ["--batch", "32", "--rounds", "2", "--out", str(tmp_path)]
    assert "--quick" in command


def test_the_parts_of_most_worth_fit_into_six_minutes():
    limits = {name: part.limit for name, part in accelerator.PARTS.items()}
    assert sum(list(limits.values())[:6]) <= 360
    assert list(limits)[6:] == ["whole_run", "kernels"]


def test_a_time_limit_ends_a_process_and_what_it_started(tmp_path):
    child = "import time; time.sleep(60)"
    code = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}])
print(child.pid)
time.sleep(60)
"""
    start, shown = time.monotonic(), []
    done = limited_process(["-c", code], {}, 2.0, shown.append)
    assert time.monotonic() - start < 30
    assert done.failed == "stopped at its time limit, 2 s"
    assert done.printed.split() == shown
    deadline = time.monotonic() + 30
    while _lives(int(shown[0])) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _lives(int(shown[0]))


def _lives(process):
    try:
        os.kill(process, 0)
        with open(f"/proc/{process}/stat") as file:
            return file.read().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_process_says_why_it_failed():
    done = limited_process(["-c", "print('one'); raise ValueError('two')"], {}, 60, lambda _: None)
    assert done == Limited("one\n", "failed: ValueError: two")
    assert limited_process(["-c", "print('one')"], {}, 60, lambda _: None) == ("one\n", "")


def test_a_cut_benchmark_keeps_the_trees_that_it_measured(monkeypatch, tmp_path):
    calls = []

    def race(contestants, *_, together, **__):
        calls.append(together)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return {name: Measured({"seconds": [1.0, 2.0]}) for name in contestants}

    monkeypatch.setattr(update_step, "race", race)
    here = MACHINE | {"device": {"platform": "gpu", "kind": "Some GPU", "count": 1}}
    monkeypatch.setenv(KNOWN, json.dumps(here))
    options = ["--trees", "cnn,mlp-10m", "--rules", "adam", "--out", str(tmp_path)]
    assert update_step.main(options) == 130
    trees = json.loads((tmp_path / "some-gpu" / "update_step.json").read_text())["trees"]
    assert list(trees) == ["cnn"]
    assert update_step.ONE_LOOP not in trees["cnn"]["adam"]  # an option of XLA for CPUs
    assert calls == [True, True]
    assert facts() == here


def results(adam_to_floor, thousand):
    floor, fused = {"ours": {"run_to_floor": [adam_to_floor]}}, {"ours": {}}
    fused["ours"]["run_to_torch_fused"] = [thousand]
    batch = {"ours": {"seconds_median": 1e-3}}
    return {
        "update_step": {"trees": {GPT2: {"adam": floor}, "1000-leaves": {"adam": fused}}},
        "train_step": {"flop_per_image": 25e6, "batches": {"128": batch}},
        "ceilings": {
            "peak": None,
            "ceilings": {TF32: {"rate_median": 32e12}, COPY: {"rate_median": 3e12}},
        },
    }


def test_aims_are_judged_and_what_was_not_measured_is_left_out():
    rows = {
        cells[0].strip(): [cell.strip() for cell in cells[1:]]
        for line in aims.table(results(1.05, 1.2)).splitlines()[2:]
        for cells in [line.strip("| ").split("|")]
    }
    assert rows == {
        "Adam, 124 M float32 parameters: share of the bandwidth of a copy": [
            "0.952",
            "≥ 0.920",
            "yes",
        ],
        "Adam, 1,000 leaves: ours / torch fused": ["1.20", "≤ 1.00", "no"],
        "a step, batch 128, ours: share of the largest product's speed": ["0.100", "–", "–"],
    }
    assert aims.table({}) == ""


def test_verify_and_pytest_are_read():
    printed = "head\nadam() optax OUT 7\n120 of 121 equal, 1 unequal, in 9 s\n"
    assert equality.verified(printed) == (
        "120 of 121 equal, 1 unequal, in 9 s",
        ["adam() optax OUT 7"],
    )
    assert equality.verified("error: 3 things\n") == ("", [])


def test_a_command_that_fails_does_not_stop_the_others(monkeypatch, tmp_path):
    def timed_process(arguments, environment):
        if "jaxopt_notes.predict" in arguments and environment:
            raise Failed("failed: no CPU")
        raise_for = {"jaxopt_notes.predict": '{"accuracy": 0.5, "examples": 10}'}
        printed = raise_for.get(arguments[1], "cpu 50.00% right")
        if "--out" in arguments and "train" in arguments[1]:
            (tmp_path / "whole").mkdir()
            row = {"seconds": 1, "test_accuracy": 0.5}
            (tmp_path / "whole" / "metrics.jsonl").write_text(json.dumps(row))
        return type("Done", (), {"printed": printed})

    def killed(options, run):
        run.mkdir()
        row = {"seconds": 2, "test_accuracy": 0.5}
        (run / "metrics.jsonl").write_text(json.dumps(row))
        return 78

    monkeypatch.setattr(whole_run, "timed_process", timed_process)
    monkeypatch.setattr(whole_run, "kill_after_checkpoint", killed)
    rows = {row["command"]: row for row in whole_run.run([], tmp_path, len)}
    assert rows["train"]["result"] == "test accuracy 50.00%"
    assert rows["train, killed and resumed"]["result"] == "killed after step 78; equal"
    assert rows["predict"]["result"] == "50.00% of 10 right"
    assert not rows["predict on the CPU"]["done"]
    assert rows["export, run on the CPU"]["done"]


def test_a_run_that_ends_by_itself_cannot_be_killed(monkeypatch, tmp_path):
    class Ended:
        def poll(self):
            return 0

        def send_signal(self, number):
            assert number == signal.SIGKILL

        def wait(self):
            return 0

    monkeypatch.setattr(whole_run.subprocess, "Popen", lambda *_: Ended())
    with pytest.raises(Failed, match="ended before it could be killed"):
        whole_run.kill_after_checkpoint([], tmp_path)
    done = tmp_path / "checkpoints" / "39"
    done.mkdir(parents=True)
    (done / "commit_success.txt").touch()
    assert whole_run.kill_after_checkpoint([], tmp_path) == 39
