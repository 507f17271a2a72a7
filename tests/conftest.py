"""What pytest does with these tests; their shared fixtures are in `tests/shared.py`."""

import gc

import pytest

from tests import every_test


def pytest_addoption(parser):
    """`--cpu-seconds`: a busy machine changes them less than seconds on the clock."""
    parser.addoption("--cpu-seconds", action="store_true", help="print CPU seconds of each room")


def pytest_configure(config):
    """Python's garbage collector waits until the tests are collected."""
    gc.disable()
    config.pluginmanager.register(every_test)


def pytest_sessionstart(session):
    """The process that hands the tests to its workers needs neither JAX nor fixtures."""
    if not session.config.pluginmanager.has_plugin("dsession"):
        from tests import shared

        shared.start_jax()
        session.config.pluginmanager.register(shared)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    """Test files have no doctests, and pytest spends time on looking for them."""
    return [part for part in (yield) if type(part) is pytest.Module]


def pytest_collection_finish():
    """From now on the collector leaves alone what imports and collection made."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def pytest_sessionfinish():
    """pytest collects garbage five times at the end; now it has nothing to go through."""
    gc.freeze()
