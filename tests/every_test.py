"""Hooks around every test, doctests included. `conftest.py` registers them."""

import collections
import os

import pytest

BEGAN = pytest.StashKey[float]()


def cpu_seconds() -> float:
    """User and system time of this process and of the processes that it has waited for."""
    return sum(os.times()[:4])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """The clock of a test starts before its fixtures."""
    item.stash[BEGAN] = cpu_seconds()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    """Sends a test's CPU seconds to the main process with its last report."""
    try:
        return (yield)
    finally:
        item.user_properties.append(("CPU seconds", cpu_seconds() - item.stash[BEGAN]))


def pytest_terminal_summary(terminalreporter, config):
    """Prints each folder's CPU seconds; CONTRIBUTING.md has their budgets."""
    if config.option.cpu_seconds:
        rooms = collections.Counter()
        for report in terminalreporter.getreports(""):  # of passed setups and teardowns
            room = "/".join(report.nodeid.split("::")[0].split("/")[:2])
            rooms[room] += dict(report.user_properties).get("CPU seconds", 0)
        for room, seconds in [*rooms.most_common(), ("sum", rooms.total())]:
            terminalreporter.write_line(f"{seconds:7.1f} {room}")


@pytest.fixture(autouse=True)
def _environment_stays():
    """Undoes a test's changes, such as XLA_FLAGS by the doctest of `allow_one_loop()`."""
    before = dict(os.environ)
    yield
    if before != os.environ:
        os.environ.clear()
        os.environ.update(before)
