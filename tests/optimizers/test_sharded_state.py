"""An optimizer's state lies on the devices as the parameters do, however these are cut."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.virtual_devices import COMPILE_SOON, environment

NAMES = (
    *("sgd", "sgd, momentum", "momentum", "adagrad", "rmsprop", "rmsprop, centered"),
    *("adam", "adam, bfloat16", "adamw", "adam-to-sgd", "swats", "handover"),
    "packed, no small leaves",
)


@pytest.fixture(scope="module")
def measured():
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("sharded_states.py"))],
        capture_output=True,
        text=True,
        env=environment(8, COMPILE_SOON),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def findings(measured):
    return measured["auto"]


@pytest.mark.slow
def test_explicit_axes_give_the_values_of_one_device(measured):
    for name, largest in measured["explicit"].items():
        assert largest < 2e-6, name


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_state_and_updates_lie_as_the_parameters_do(findings, name):
    for where in ("init", "init inside jit", "step", "step outside jit"):
        assert findings[name][where] == [], where


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_update_needs_no_word_from_another_device(findings, name):
    needed = findings[name]["collectives"]
    if name == "swats":  # its rate is a quotient of inner products over all parameters
        assert set(needed) == {"all-reduce"}
    else:
        assert needed == {}


@pytest.mark.slow
def test_the_values_are_those_of_one_device(findings):
    for name, each in findings.items():
        assert each["largest"] < 2e-6, name


@pytest.mark.slow
def test_packing_leaves_that_are_cut_moves_them_about(findings):
    """As `packed` documents: it is for leaves that every device holds whole."""
    assert findings["packed, small leaves"]["collectives"]
