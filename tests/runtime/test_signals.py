"""Signals from the first line of `main` on, and SIGHUP."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jaxopt_notes import command
from jaxopt_notes.runtime.signals import NAMES, caught
from tests.runs.test_faults import after_the_first_stretch

CODES = {number: 128 + number for number in NAMES}


def kill(number):
    os.kill(os.getpid(), number)
    return 0


@pytest.mark.parametrize("number", NAMES)
def test_a_signal_anywhere_in_a_command_is_a_line_and_a_code(number, capsys):
    before = {n: signal.getsignal(n) for n in NAMES}
    assert command.exit_code(lambda: kill(number), "stopped: all is kept") == 128 + number
    assert capsys.readouterr().err == f"{NAMES[number]}: all is kept\n"
    assert before == {n: signal.getsignal(n) for n in NAMES}


def test_what_an_import_makes_of_it_is_no_traceback(capsys):
    def convert():
        try:
            kill(signal.SIGTERM)
        except BaseException:
            raise ImportError("half imported") from None

    assert command.exit_code(convert) == 143
    assert capsys.readouterr().err == "terminated\n"


def test_one_that_a_destructor_swallows_comes_again(capsys):
    class Swallows:
        def __del__(self):
            kill(signal.SIGINT)

    def body():
        Swallows()
        threading.Event().wait(60)
        return 0

    start = time.monotonic()
    assert command.exit_code(body) == 130
    assert time.monotonic() - start < 30
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.usefixtures("no_pictures")
def test_a_hang_up_keeps_the_run_and_two_are_one(small, monkeypatch, capsys):
    def twice():
        kill(signal.SIGHUP)
        kill(signal.SIGHUP)

    after_the_first_stretch(monkeypatch, twice)
    assert small("--epochs", "100") == 129
    assert capsys.readouterr().err == "hung up\n"
    assert small("--resume", "run", "--epochs", "1", "--quiet") == 0


def test_a_hang_up_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert command.exit_code(lambda: kill(signal.SIGHUP)) == 0
        with caught() as stop:
            kill(signal.SIGHUP)
        assert stop.signal is None
    finally:
        signal.signal(signal.SIGHUP, before)


# A module that C code would import: what is raised in it must not get there.
IMPORTING = """
import os, signal, sys, importlib.abc, importlib.util
from jaxopt_notes import command

class Loader(importlib.abc.Loader):
    def create_module(self, spec): return None
    def exec_module(self, module): os.kill(os.getpid(), signal.SIGINT)

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, Loader()) if name == "slow_module" else None

sys.meta_path.insert(0, Finder())

def body():
    try:
        import slow_module
    except BaseException:
        print("swallowed")
    return 0

command.run_as_process(lambda: command.exit_code(body))
"""


def test_in_the_midst_of_an_import_the_process_ends_there():
    done = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")
