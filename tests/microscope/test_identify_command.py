"""`python -m jaxopt_notes.identify`: what it prints and refuses."""

import json

import pytest

from jaxopt_notes.identify import main

KEYS = {
    *("known", "family", "equation", "hyperparameters", "conventions", "deviations"),
    *("undecided", "not_examined"),
}


def test_json_is_one_object(capsys):
    assert main(["optax.sgd", "learning_rate=0.5", "momentum=0.8", "--json"]) == 0
    identification = json.loads(capsys.readouterr().out)
    assert identification.keys() == KEYS
    assert identification["known"] is True
    assert identification["hyperparameters"] == {"learning_rate": 0.5, "momentum": 0.8}
    assert identification["equation"].endswith("θ ← θ − α m")


def test_a_deviation_is_exit_code_1(capsys):
    assert (
        main(["optax.sgd", "learning_rate=0.5", "momentum=0.8", "--claim", "notes.momentum"]) == 1
    )
    assert "DEVIATION: the velocity is a plain sum (compared with the notes' momentum)" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "FACTORY: pass either a factory"),
        (["optax.sgd", "--command", "x"], "FACTORY: pass either a factory"),
        (
            ["optax.sgd", "--dtype", "int8"],
            "--dtype int8: is unknown; pass one of float64, float32",
        ),
        (
            ["--patience", "0", "optax.sgd"],
            "--patience 0: is too short; pass a number of seconds above 0",
        ),
        (["--self-test", "optax.sgd"], "--self-test: takes no FACTORY"),
        (["optax.nothing"], "optax.nothing: optax has no nothing"),
        (["optax.sgd"], "optax.sgd: needs learning_rate"),
        (["optax.sgd", "lr=1"], "lr: optax.sgd does not take it; did you mean learning_rate?"),
        (["builtins.dict", "a=1"], "builtins.dict: makes a dict, not an optimizer"),
        (["optax.polyak_sgd"], "optax.polyak_sgd: cannot step on gradients alone"),
        (["--command", ""], "--command '': is empty"),
    ],
)
def test_a_mistake_is_one_line(words, message, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert message in error
