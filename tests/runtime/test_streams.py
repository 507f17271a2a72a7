"""What a command prints, wherever it goes: flushed, replaced, dropped; nothing depends on it."""

import io
import os
import subprocess
import sys

import pytest

from jaxopt_notes import command, train
from jaxopt_notes.runtime import host, streams
from jaxopt_notes.studies import __main__ as studies
from tests.run_files import rows

MLP = ["--dataset", "mnist-12k", "--model", "mlp", "--batch-size", "1000"]


class Reader(io.StringIO):
    """A stdout whose reader goes after the first line."""

    def write(self, text):
        if "\n" in self.getvalue():
            raise BrokenPipeError
        return super().write(text)


class Bare:
    """A stream as some hosts have: it only writes."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def test_a_training_records_first_and_goes_on_when_nobody_reads(
    small, monkeypatch, no_pictures, tmp_path
):
    monkeypatch.setattr(sys, "stdout", Reader())
    assert small("--epochs", "2", "--json") == 0
    assert len(rows(tmp_path / "run")) == 2
    assert sys.stdout.getvalue().count("\n") == 1


def test_an_epoch_is_recorded_before_it_is_shown(small, monkeypatch, no_pictures, tmp_path):
    seen = []

    class Look(Bare):
        def write(self, text):
            if text.startswith('{"epoch"'):
                seen.append(len(rows(tmp_path / "run")))

    monkeypatch.setattr(sys, "stdout", Look())
    assert small("--epochs", "2", "--json") == 0
    assert seen == [1, 2]


def test_another_command_ends_quietly_when_nobody_reads(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Reader())
    assert studies.main(["list"]) == 141
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "stdout", Reader("\n"))
    assert train.main(["--help"]) == 141


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_characters_that_stdout_lacks_are_replaced(encoding, monkeypatch):
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert command.exit_code(lambda: print("28×28 → 学习率") or 0) == 0
    shown = "28×28" if encoding == "cp1252" else "28?28"
    assert content.getvalue().decode(encoding) == f"{shown} ? ???\n"
    assert (sys.stdout, stream.errors) == (stream, "strict")  # the host's own, as it was


@pytest.mark.parametrize("stream", [None, Bare()])
def test_streams_may_be_missing_or_only_write(stream, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    assert studies.main(["list"]) == 0
    assert studies.main(["dance"]) == 2
    assert sys.stdout is stream
    if stream is not None:
        assert "error: action 'dance'" in stream.text


def test_a_closed_stdout_is_said_where_it_was_all(monkeypatch, capsys):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    assert studies.main(["list"]) == 1
    assert capsys.readouterr().err.startswith("error: standard output: cannot be written (")


def test_a_line_is_out_as_soon_as_it_is_complete(monkeypatch):
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(content), "utf-8"))
    with host.host_settings():
        streams.guard()
        print("half", end="")
        assert content.getvalue() == b""
        print(" a line")
        assert content.getvalue() == b"half a line\n"


# Fills the pipe, which nobody reads while it runs. A file that it opens might get number 1.
OWN = """
import os, sys
from jaxopt_notes import command
from jaxopt_notes.runtime import streams

def body():
    streams.outlive_readers()
    for _ in range(20_000):
        print("a line that fills the pipe")
    os.write(3, b"done")
    return 0

command.run_as_process(lambda: command.exit_code(body))
"""


@pytest.mark.skipif(os.name != "posix", reason="pipes and descriptors of POSIX")
def test_a_reader_that_does_not_read_holds_no_training_up():
    read, write = os.pipe()
    script = f"import os; os.dup2({write}, 3)\n{OWN}"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, pass_fds=[write]
    )
    os.close(write)
    assert os.read(read, 4) == b"done"  # with 64 KiB of its 540 kB taken
    out, _ = process.communicate(timeout=60)
    assert out == b"a line that fills the pipe\n" * 20_000
    assert process.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="pipes and descriptors of POSIX")
def test_a_process_with_closed_or_full_streams_or_without_a_reader():
    def shell(redirection):
        line = f'"{sys.executable}" -m jaxopt_notes.studies list {redirection}'
        return subprocess.run(["bash", "-c", line], capture_output=True, text=True)

    head = shell("| head -1; echo ${PIPESTATUS[0]}")
    assert (head.stdout.splitlines()[-1] in ("0", "141"), head.stderr) == (True, "")
    assert (shell(">&- 2>&- <&-").returncode) == 0
    full = shell("> /dev/full")
    assert full.returncode == 1
    assert full.stderr.count("\n") == 1
    ascii_only = subprocess.run(
        [sys.executable, "-m", "jaxopt_notes.train", "--help"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert (ascii_only.returncode, ascii_only.stderr) == (0, b"")
