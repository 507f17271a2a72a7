"""The words of a command line that name an optimizer and its hyperparameters."""

import sys

import optax
import pytest

from jaxopt_notes.errors import InputError
from jaxopt_notes.microscope.factories import call, factory, keywords


def test_a_factory_is_imported_through_its_submodules():
    assert factory("optax.adamw") is optax.adamw
    assert factory("jaxopt_notes.conventions.torch.rmsprop").__name__ == "rmsprop"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("adamw", "is not a dotted name; pass one such as optax.adamw"),
        ("optax.adamw()", "is not a dotted name; pass one such as optax.adamw"),
        ("no_such_module.adam", "no module no_such_module; install it, or correct the name"),
        ("optax.Adamw", "optax has no Adamw; did you mean optax.adamw?"),
        ("optax.qqq", "optax has no qqq; see optax's documentation"),
        ("optax.__version__", "cannot be called; pass a function or class, such as optax.adamw"),
    ],
)
def test_what_is_no_factory_is_one_line(path, message):
    with pytest.raises(InputError) as error:
        factory(path)
    assert str(error.value) == f"{path}: {message}"


def test_a_module_that_fails_when_imported_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "broken_optimizers.py").write_text("raise RuntimeError('no licence')\n")
    (tmp_path / "poor_optimizers.py").write_text("import module_that_lacks\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, message in (
        ("broken_optimizers", "broken_optimizers cannot be imported (no licence)"),
        ("poor_optimizers", "poor_optimizers needs module_that_lacks, which is not installed"),
    ):
        with pytest.raises(InputError) as error:
            factory(f"{name}.adam")
        assert str(error.value) == f"{name}.adam: {message}"
        sys.modules.pop(name, None)


def test_values_are_numbers_booleans_none_or_text():
    words = [
        "a=1",
        "b=1e-3",
        "c=False",
        "d=None",
        "e='1'",
        "f=(0.9,0.99)",
        "g=nan",
        "h=__import__('os')",
    ]
    values = keywords(words)
    assert str(values.pop("g")) == "nan"
    assert values == {
        **{"a": 1, "b": 1e-3, "c": False, "d": None, "e": "1", "f": (0.9, 0.99)},
        "h": "__import__('os')",  # a text, never code
    }
    assert isinstance(values["a"], int)


@pytest.mark.parametrize("word", ["1e-3", "learning_rate", "=3", "b1=", "a b=3"])
def test_what_is_no_key_and_value_is_one_line(word):
    with pytest.raises(InputError, match="is not key=value"):
        keywords([word])


def test_a_key_that_stands_twice_is_one_line():
    with pytest.raises(InputError, match="sets b1 a second time; pass it once"):
        keywords(["b1=0.9", "b1=0.8"])


def test_arguments_that_are_missing_unknown_or_refused_are_one_line():
    assert call("optax.sgd", optax.sgd, learning_rate=0.1).init({}) is not None

    def picky(rate):
        raise ValueError("rate must be\nsmaller")

    for made, values, message in (
        (optax.adamw, {}, "f: needs learning_rate; pass learning_rate=VALUE"),
        (optax.adamw, {"lr": 1}, "lr: f does not take it; did you mean learning_rate?"),
        (optax.adamw, {"zzz": 1}, "zzz: f does not take it; it takes learning_rate, b1, "),
        (optax.adamw, {"beta1": 1}, "beta1: f does not take it; did you mean b1?"),
        (picky, {"rate": 1}, "f: refuses its arguments (rate must be)"),
    ):
        with pytest.raises(InputError) as error:
            call("f", made, **values)
        assert str(error.value).startswith(message)
