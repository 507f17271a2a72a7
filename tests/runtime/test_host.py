"""The process that imports the package or calls a command keeps its own settings."""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint  # noqa: F401 what it sets up when imported is its own
import pytest
import scipy.ndimage  # noqa: F401 likewise
from PIL import Image

from jaxopt_notes import predict, verify
from jaxopt_notes.aot import __main__ as aot
from jaxopt_notes.runtime.host import at_end, host_settings, set_environment_default
from tests.runtime.host_state import changes, state

ROOT = Path(__file__).parents[2]

IMPORT_ALL = """
import importlib, pkgutil
# What the dependencies set up when imported is their own.
import flax, jax, numpy, optax, orbax.checkpoint, PIL.Image, requests, tensorflow_datasets, tqdm
import scipy.optimize, scipy.special, sympy
from tests.runtime.host_state import changes, state

before = state()
import jaxopt_notes
names = [m.name for m in pkgutil.walk_packages(jaxopt_notes.__path__, "jaxopt_notes.")]
for name in names:
    importlib.import_module(name)
assert len(names) > 100, names
assert not changes(before, state()), changes(before, state())

from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
"""


@pytest.mark.slow
def test_importing_every_module_changes_nothing_and_starts_no_backend():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("no_pictures")
def test_commands_put_the_settings_of_their_host_back(small, tmp_path, capsys):
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save("one.png")
    before = state()
    assert small("--compilation-cache", str(tmp_path / "cache")) == 0
    assert changes(before, state()) == {}
    assert small("--learning-rate", "x") == 2
    assert changes(before, state()) == {}
    assert predict.main(["--run", "run", "one.png"]) == 0
    assert changes(before, state()) == {}
    capsys.readouterr()


@pytest.mark.slow
def test_verify_and_aot_put_them_back_too(capsys):
    before = state()
    quick = ("--quick", "--steps", "2", "--optimizer", "sgd", "--oracle", "optax")
    assert verify.main(quick) == 0
    assert changes(before, state()) == {}
    assert aot.main(["--target", "cpu", "--model", "mlp"]) == 0
    assert changes(before, state()) == {}
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_each_of_two_runs_in_a_process_has_its_own_compilation_cache(small, tmp_path):
    jax.jit(lambda x: x + 1)(1)  # JAX has used the host's cache
    for name in ("first", "second"):
        args = ("--compilation-cache", str(tmp_path / name), "--out", str(tmp_path / f"run-{name}"))
        assert small(*args, "--quiet") == 0
        assert list((tmp_path / name).glob("jit_many-*")), name


def test_the_last_change_is_undone_first_after_an_error_too():
    order = []

    @host_settings()
    def fail():
        at_end(order.append, "first change")
        at_end(order.append, "second change")
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert order == ["second change", "first change"]


def test_a_variable_that_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("JAXOPT_NOTES_SET", "theirs")
    monkeypatch.delenv("JAXOPT_NOTES_UNSET", raising=False)
    with host_settings():
        set_environment_default("JAXOPT_NOTES_SET", "ours")
        set_environment_default("JAXOPT_NOTES_UNSET", "ours")
        assert "environment JAXOPT_NOTES_UNSET" in state()
        assert state()["environment JAXOPT_NOTES_SET"] == "theirs"
    assert "environment JAXOPT_NOTES_UNSET" not in state()
