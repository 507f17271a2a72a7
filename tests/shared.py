"""Shared by all tests: a few of the bundled digits as a data set, and the command on them.

`conftest.py` registers it in each process that runs tests.
"""

import functools
import os
import sys
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from jax._src.interpreters import mlir

from jaxopt_notes import train
from jaxopt_notes.data import Dataset, load
from jaxopt_notes.models import pure
from jaxopt_notes.runtime import compilation
from jaxopt_notes.training import drawing, epochs, setup
from tests.run_files import BASE, SMALL, Ran
from tests.virtual_devices import BY_DEFAULT, COMPILE_SOON

LEAST_EFFORT: dict[str, Any] = {"xla_backend_optimization_level": 0}


def start_jax():
    """Starts JAX, so that no run in a test's own process takes the CPU for several devices.

    The tests compile with less effort, except those that ask for `BY_DEFAULT` or for the fixture
    `compiled_by_default`. A process that a test starts has XLA's defaults.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} {COMPILE_SOON}")
        compilation.OPTIONS = LEAST_EFFORT
        jax.devices()
    # One MLIR context for all programs: making one takes a third of a small program's time.
    if hasattr(mlir, "make_ir_context"):
        mlir.make_ir_context = functools.cache(mlir.make_ir_context)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """512 training and 300 test images of real MNIST: an epoch of four steps of 128."""
    whole = load("mnist-12k")
    return whole._replace(
        train_images=whole.train_images[::19][:512],
        train_labels=whole.train_labels[::19][:512],
        test_images=whole.test_images[::6][:300],
        test_labels=whole.test_labels[::6][:300],
    )


@pytest.fixture(scope="session", autouse=True)
def _own_compilation_cache(request):
    """Tests share compiled programs with each other and with later runs, not with the user.

    Most of the tests' time goes into compiling. Compiling a small program takes less time than
    storing it and looking it up. A command stores all of its programs.
    """
    folder = request.config.cache.mkdir("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
        compilation.keep_compiled(str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.03)
        yield


@pytest.fixture
def compiled_by_default(request, monkeypatch):
    """Compiles a slow test's runs as users' runs are compiled, to compare bits within a program.

    The quick tests make the same comparison between programs compiled with less effort.
    """
    if request.node.get_closest_marker("slow"):
        level = {"xla_backend_optimization_level": 1}
        monkeypatch.setattr(compilation, "OPTIONS", BY_DEFAULT | level)


@pytest.fixture
def no_pictures(monkeypatch):
    """Acts as if matplotlib were not installed: drawing would take most of the time."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


@functools.lru_cache
def _parameters(make):
    """The shapes of the parameters of the network that `make` draws."""
    return pure(nnx.eval_shape(lambda: make(nnx.Rngs(0)))).params


@functools.cache
def _drawn_once():
    """`begin_drawing`, but returns the earlier drawing where it would be the same program.

    Tracing and compiling the program that draws the first state is a third of a small run's time.
    The program follows from the network, the optimizer's `init` and JAX's settings. It is compiled
    with less effort in every test: how it rounds is the subject of `test_drawing.py` alone.
    """
    drawings = {}

    def begin(make, optimizer, averaged=False):
        init, state = jax.make_jaxpr(optimizer.init, return_shape=True)(_parameters(make))
        constants = [(str(x.dtype), x.tobytes()) for x in map(np.asarray, init.consts)]
        key = make, averaged, jax.tree.structure(state), str((init, constants, jax.config.values))
        if key not in drawings:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(compilation, "OPTIONS", LEAST_EFFORT)
                drawings[key] = drawing.begin_drawing(make, optimizer, averaged)
        return drawings[key]

    return begin


@pytest.fixture
def small(monkeypatch, digits, tmp_path):
    """small(options) runs the command, which writes to tmp_path / 'run' unless it resumes a run.

    Without `--model` it trains the smallest network, so that the tests share compiled programs.
    """
    monkeypatch.setattr(setup, "load", lambda *_: digits)
    monkeypatch.setattr(epochs, "begin_drawing", _drawn_once())
    monkeypatch.chdir(tmp_path)

    def main(*args):
        if "--resume" in args:
            return train.main(args)
        network = [] if "--model" in args else SMALL.split()
        return train.main(["--out", "run", "--epochs", "1", *network, *args])

    return main


@pytest.fixture(scope="session")
def finished() -> dict[tuple[str, str, str], Ran]:
    """The runs so far, by their options and those of XLA."""
    return {}


@pytest.fixture
def ran(small, finished, no_pictures, tmp_path_factory, capsys):
    """ran(options) is the run with these options after `base`'s, made once in a session.

    `anew` makes a run that no other test sees.
    """

    def main(options: str = "", anew: bool = False, base: str = BASE) -> Ran:
        key = base, options, str(compilation.OPTIONS)
        if anew or key not in finished:
            folder = tmp_path_factory.mktemp("run") / "run"
            capsys.readouterr()
            code = small(*base.split(), "--out", str(folder), *options.split())
            result = Ran(code, *capsys.readouterr(), folder)
            if anew:
                return result
            finished[key] = result
        return finished[key]

    return main
