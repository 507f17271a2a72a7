"""`python -m jaxopt_notes.train` as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from jaxopt_notes.config.optimizers import OPTIMIZERS
from jaxopt_notes.runs import report
from jaxopt_notes.training import setup
from tests.run_files import rows, shown_files, without_seconds


@pytest.mark.parametrize(
    "optimizer",
    [name if name == "adam" else pytest.param(name, marks=pytest.mark.slow) for name in OPTIMIZERS],
)
def test_each_optimizer_trains_and_leaves_its_files(
    small, tmp_path, capsys, monkeypatch, optimizer
):
    files = ["checkpoints", "config.json", "metrics.json", "metrics.jsonl"]
    if optimizer in ("adam", "adam-to-sgd"):  # the others' pictures differ from Adam's by a title
        files += ["confusion.png", "curves.png", "mistakes.png"]
    else:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    # The notes' widths: with fewer features not every optimizer learns in 24 steps.
    assert small("--model", "mlp", "--optimizer", optimizer, "--epochs", "3") == 0
    history = rows(tmp_path / "run")
    keys = "epoch step seconds train_loss train_accuracy test_loss test_accuracy"
    assert [list(row)[:7] for row in history] == [keys.split()] * 3
    assert [row["step"] for row in history] == [8, 16, 24]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["test_accuracy"] > 0.2
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["config"]["optimizer"] == optimizer
    printed = capsys.readouterr().out
    for word in (optimizer, "512 training", "300 test", "test images right"):
        assert word in printed
    assert shown_files(tmp_path / "run") == sorted(files)
    assert all(name in printed for name in files)


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_of_many_short_epochs_few_rows_are_printed_and_all_are_kept(small, tmp_path, capsys):
    short = ("--widths", "8", "--batch-size", "512", "--checkpoint-every", "off")
    assert small(*short, "--epochs", "90") == 0
    head, _, table = capsys.readouterr().out.partition("epoch   train loss")
    history = rows(tmp_path / "run")
    assert [row["epoch"] for row in history] == list(range(1, 91))
    printed = [line.split()[0] for line in table.splitlines()[1:] if line[:5].strip().isdigit()]
    assert printed[0] == "1"
    assert printed[-1] == "90"
    assert len(printed) <= 3 + history[-1]["seconds"]
    assert "metrics.jsonl has a row for each epoch" in head


def test_by_default_it_is_the_notes_cnn(digits, monkeypatch):
    monkeypatch.setattr(setup, "load", lambda *_: digits)
    described = report.describe(setup.prepare({}))
    assert (described.config.model, described.model.parameters) == ("cnn", 421_642)
    assert "421,642" in report.header(described, [])


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.slow
def test_the_notes_cnn_trains(small, tmp_path, capsys):
    assert small("--model", "cnn") == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["parameters"] == 421_642
    assert "421,642" in capsys.readouterr().out


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.slow
def test_the_same_seed_gives_the_same_digits_and_another_seed_others(small, tmp_path):
    runs = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert small("--out", name, "--seed", seed, "--quiet") == 0
        (tmp_path / name).rename(tmp_path / "run")
        runs.append(without_seconds(rows(tmp_path / "run")))
        (tmp_path / "run").rename(tmp_path / f"{name}-done")
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.usefixtures("no_pictures")
def test_hyper_parameters_reach_the_optimizer(small, tmp_path):
    assert small("--optimizer", "sgd", "--momentum", "0.5", "--nesterov", "--quiet") == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["hyperparameters"] == {"momentum": 0.5, "nesterov": True}


@pytest.mark.usefixtures("no_pictures")
def test_json_prints_a_value_a_line(small, capsys):
    assert small("--json") == 0
    header, row, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert header["header"]["data"]["train"] == 512
    assert summary["summary"] == row
    assert summary["worst_class"]["support"] > 0
    assert "metrics.json" in summary["files"]


@pytest.mark.usefixtures("no_pictures")
def test_metrics_json_is_of_the_final_weights(small, tmp_path, capsys):
    assert small("--epochs", "2") == 0
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    last = rows(tmp_path / "run")[-1]
    assert (scores["step"], scores["examples"]) == (last["step"], 300)
    assert scores["accuracy"] == pytest.approx(last["test_accuracy"], rel=1e-12)
    assert [row["name"] for row in scores["classes"]] == [str(k) for k in range(10)]
    worst = min(scores["classes"], key=lambda row: row["recall"])
    line = f"lowest recall: {worst['recall']:.2%} of the {worst['support']} of class"
    assert line in capsys.readouterr().out


@pytest.mark.usefixtures("no_pictures")
def test_quiet_prints_nothing(small, capsys):
    assert small("--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_without_matplotlib_the_run_goes_on_and_says_which_extra(small, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert small() == 0
    assert "jaxopt-notes[plots]" in capsys.readouterr().out
    assert shown_files("run") == ["checkpoints", "config.json", "metrics.json", "metrics.jsonl"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--optimizer", "adma"], ["adma", "adam?"]),
        (["--learning-rate", "nan"], ["--learning-rate", "nan"]),
        (["--learning-rate", "x"], ["--learning-rate x: is not a number", "0.001"]),
        (["--optimizer", "sgd", "--b1", "0.9"], ["--b1", "sgd"]),
        (["--batch-size", "513"], ["--batch-size 513", "512"]),
        (["--batch-size", "0"], ["--batch-size 0"]),
        (["--frobnicate"], ["--frobnicate: is not an option", "--help"]),
        (["--lr", "0.1"], ["--lr: is not an option", "--learning-rate?"]),
        (["--beta1=0.8"], ["--beta1: is not an option", "--b1?"]),
        (["--optimiser", "sgd"], ["--optimiser", "--optimizer?"]),
        (["--batch_size", "32"], ["--batch_size", "--batch-size?"]),
        (["adam"], ["adam: is unexpected"]),
        (["--out"], ["--out: expected one argument"]),
        (["--out", ""], ["--out '': is empty", "pass a folder"]),
        (["--image-size", "28,28"], ["--image-size 28,28", "28x32"]),
        (["--image-size", "3x28"], ["--image-size 3x28", "each at least 4"]),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2_with_nothing_written(
    small, tmp_path, capsys, args, words
):
    assert small(*args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    for word in words:
        assert word in printed.err
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_refused(small, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert small("--out", "file/run") == 2
    assert "--out file/run" in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
def test_a_folder_that_holds_a_run_is_refused(small, capsys):
    assert small("--quiet") == 0
    assert small("--quiet") == 2
    assert "already holds a run" in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
def test_divergence_names_the_step_and_keeps_the_epochs_before(small, tmp_path, capsys):
    args = "--optimizer sgd --schedule constant --learning-rate 1e18 --epochs 2"
    assert small(*args.split()) == 2
    error = capsys.readouterr().err
    assert "not finite at step" in error
    assert "--learning-rate" in error
    assert error.count("\n") == 1
    assert (tmp_path / "run" / "config.json").exists()


@pytest.mark.slow
def test_interrupted_run_keeps_its_epochs_and_exits_130(tmp_path):
    """A real Ctrl-C in the middle of a real run, when the second epoch has begun."""
    command = [sys.executable, "-m", "jaxopt_notes.train", "--dataset", "mnist-12k"]
    command += ["--model", "mlp", "--epochs", "1000", "--batch-size", "32"]
    command += ["--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    saved = tmp_path / "run" / "checkpoints" / "312"  # written while the second epoch goes on
    deadline = time.monotonic() + 120
    while not saved.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    history = rows(tmp_path / "run")
    assert len(history) >= 1
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert scores["step"] == history[-1]["step"]  # what the next epoch had overwritten was kept
    assert scores["accuracy"] == pytest.approx(history[-1]["test_accuracy"])
    assert "test images right" in out


def test_help_needs_neither_jax_nor_optax():
    code = (
        "import sys; from jaxopt_notes import train\n"
        "try: train.main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(m in sys.modules for m in ('jax', 'optax', 'flax', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    for name in OPTIMIZERS:
        assert name in done.stdout


@pytest.mark.slow
def test_the_first_step_does_not_wait_for_imports_that_only_later_parts_need():
    program = """
import sys
from jaxopt_notes.runs import folder, recorder, report, session
from jaxopt_notes.training import epochs
print([name for name in sys.argv[1:] if name in sys.modules])
"""
    later = ["orbax.checkpoint", "tensorstore", "tensorflow_datasets", "matplotlib"]
    later.append("jaxopt_notes.conventions")
    done = subprocess.run(
        [sys.executable, "-c", program, *later], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
