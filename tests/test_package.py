"""What `pip install jaxopt-notes` brings is enough for the core; extras bring the rest."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import jaxopt_notes
from jaxopt_notes.errors import InputError, MissingExtraError
from jaxopt_notes.extras import EXTRAS, require

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = {"conventions", "losses", "models", "optimizers"}

WITHOUT_EXTRAS = """
import sys
from jaxopt_notes.extras import EXTRAS
for modules in EXTRAS.values():
    sys.modules.update(dict.fromkeys(modules))
sys.modules["orbax"] = None
"""


def run_without_extras(code, *args):
    """Runs code in a process where no extra is installed."""
    command = [sys.executable, "-c", WITHOUT_EXTRAS + code, *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_core_needs_jax_optax_and_numpy_alone():
    names = {re.split("[>=]", line)[0] for line in PROJECT["dependencies"]}
    assert names == {"jax", "jaxlib", "numpy", "optax"}


def test_the_core_works_without_extras():
    code = """
import jax.numpy as jnp
from jaxopt_notes import *
from jaxopt_notes import conventions, losses, verify
import jaxopt_notes.verification.proof, jaxopt_notes.verification.certificate
params = {"w": jnp.ones(3)}
optimizer = adam(0.1)
updates, state = optimizer.update({"w": jnp.ones(3)}, optimizer.init(params), params)
assert abs(updates["w"] + 0.1).max() < 1e-6
try:
    import jaxopt_notes.models
except ImportError as error:
    print(error)
"""
    done = run_without_extras(code)
    assert done.stdout == (
        "jaxopt_notes.models needs flax, which is not installed; "
        "pip install 'jaxopt-notes[train]'\n"
    ), done.stderr


def test_every_command_helps_without_extras():
    code = """
import importlib
names = "train predict export convert compare verify explain aot.__main__ studies.__main__"
for name in names.split():
    try:
        importlib.import_module(f"jaxopt_notes.{name}").main(["--help"])
    except SystemExit as end:
        assert end.code == 0, name
assert "jax" not in sys.modules
"""
    done = run_without_extras(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("--help") == 9


@pytest.mark.parametrize(
    ("command", "args", "user", "package", "extra"),
    [
        ("train", [], "train", "flax", "train"),
        ("train", ["--summary"], "train", "flax", "train"),
        ("predict", ["--run", "x", "x.png"], "predict", "flax", "train"),
        ("export", ["--run", "x", "--out", "y"], "export", "flax", "train"),
        ("convert", [".", "--out", "y"], "convert", "flax", "train"),
        ("compare", ["x", "--out", "y.png"], "compare --out", "matplotlib", "plots"),
        ("aot.__main__", ["--target", "cpu"], "aot", "flax", "train"),
        ("studies.__main__", ["run", "ravine"], "studies run", "flax", "train"),
        ("explain", ["optax.adam"], "explain", "sympy", "microscope"),
    ],
)
def test_a_missing_extra_is_one_line_and_exit_code_2(
    command, args, user, package, extra, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    module = __import__(f"jaxopt_notes.{command}", fromlist=["main"])
    assert module.main(args) == 2
    assert capsys.readouterr().err == (
        f"error: {user} needs {package}, which is not installed; "
        f"pip install 'jaxopt-notes[{extra}]'\n"
    )
    assert not list(tmp_path.iterdir())


def test_training_on_bundled_digits_needs_no_tensorflow_datasets(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    from jaxopt_notes import train

    assert train.main(["--summary", "--dataset", "mnist-12k"]) == 0
    assert "conv" in capsys.readouterr().out


def test_a_missing_extra_is_bad_input_and_an_import_error():
    with pytest.raises(MissingExtraError) as caught:
        require("dance", "shoes", "tap_shoes")
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, ImportError)


def test_each_extra_brings_the_modules_that_are_asked_for():
    packages = {"orbax.checkpoint": "orbax-checkpoint", "PIL": "pillow"}
    packages["tensorflow_datasets"] = "tensorflow-datasets"
    for extra, modules in EXTRAS.items():
        names = {re.split("[>=;]", line)[0] for line in PROJECT["optional-dependencies"][extra]}
        assert {packages.get(module, module) for module in modules} <= names, extra


def test_packages_are_attributes_without_an_import_of_their_own():
    code = """
import jaxopt_notes
assert "jax" not in sys.modules
print(jaxopt_notes.losses.entropy, jaxopt_notes.conventions.torch, jaxopt_notes.optimizers.adam)
"""
    done = run_without_extras(code)
    assert done.returncode == 0, done.stderr
    assert set(dir(jaxopt_notes)) >= PACKAGES
    assert jaxopt_notes.models.CNN.__name__ == "CNN"
    assert PACKAGES.isdisjoint(jaxopt_notes.__all__)  # a star import works without extras
    with pytest.raises(AttributeError, match="no attribute 'modles'"):
        jaxopt_notes.modles  # noqa: B018
