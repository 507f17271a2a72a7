"""Optimizers in other languages: the two examples, and children that misbehave."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jaxopt_notes import identify as command
from jaxopt_notes.errors import InputError
from jaxopt_notes.microscope import ChildStepper, identify

EXAMPLES = Path(__file__).parents[3] / "docs" / "steppers"


def test_the_python_example_is_identified():
    with ChildStepper([sys.executable, str(EXAMPLES / "my_optimizer.py")]) as stepper:
        identification = identify(stepper)
    assert identification.family == "SGD with Nesterov momentum"
    assert identification.hyperparameters == {"learning_rate": 0.01, "momentum": 0.9}
    assert not identification.deviations
    assert any("stays as it is" in sentence for sentence in identification.conventions)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_the_javascript_example_is_identified():
    with ChildStepper(["node", str(EXAMPLES / "my_optimizer.js")]) as stepper:
        identification = identify(stepper)
    assert identification.family == "Adam"
    expected = {"learning_rate": 0.001, "b1": 0.9, "b2": 0.999, "eps": 1e-8}
    assert identification.hyperparameters == expected
    assert not identification.deviations


@pytest.mark.parametrize(
    ("program", "right", "wrong"),
    [
        ([sys.executable, "my_optimizer.py"], "keras.sgd-3", "optax.sgd-2"),
        (["node", "my_optimizer.js"], "optax.adam-1", "keras.adam-1"),
    ],
)
def test_the_examples_check_themselves_with_test_vectors(program, right, wrong):
    if not shutil.which(program[0]):
        pytest.skip(f"needs {program[0]}")
    for name, passes in ((right, True), (wrong, False)):
        file = EXAMPLES.parent / "vectors" / f"{name}.json"
        done = subprocess.run(
            [*program, file], cwd=EXAMPLES, capture_output=True, text=True, check=True
        )
        share = float(done.stdout.split()[1])
        assert (share <= 1) == passes, done.stdout


_LOOP = "import sys, json\nfor line in sys.stdin:\n    asked = json.loads(line)\n    "


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import time; time.sleep(60)", "did not answer start in 0.6 s"),
        ("raise SystemExit(3)", r"ended \(exit code 3\) when it was asked for start"),
        (
            "print('hello', flush=True)\n" + _LOOP + "pass",
            "with 'hello', not with a JSON object; print nothing",
        ),
        (_LOOP + "print('[1]', flush=True)", "not with a JSON object"),
        (_LOOP + 'print(\'{"params": {"w": [1]}}\', flush=True)', r"shape \(1,\); it was given"),
        (_LOOP + 'print(\'{"params": {"w": "x"}}\', flush=True)', "that are not numbers"),
        (_LOOP + 'print(\'{"params": {"v": [1]}}\', flush=True)', "with the arrays w"),
        ("while True: print('x' * 1000, end='')", "a line of over 4,000,000 characters"),
    ],
)
def test_a_child_that_misbehaves_is_one_line(program, words):
    patience = 0.6 if "sleep" in program else 20
    command = [sys.executable, "-c", program]
    with ChildStepper(command, patience) as stepper, pytest.raises(InputError, match=words):
        identify(stepper)


def test_the_command_says_so_with_exit_code_2(capsys):
    assert command.main(["--command", "no-such-program-here --fast"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--command 'no-such-program-here --fast': cannot be run" in error


_PLAIN = _LOOP + (
    "if 'start' in asked: params = asked['start']\n"
    "    elif 'step' in asked and NULL: params = None\n"
    "    elif 'step' in asked: params = {n: [p - 0.5 * x for p, x in zip(params[n], g)]"
    " for n, g in asked['step'].items()}\n"
    "    known = ('start' in asked or 'step' in asked) and params\n"
    "    print(json.dumps({'params': params} if known else {'unsupported': True}), flush=True)"
)


def test_a_child_may_leave_out_what_is_optional():
    program = _PLAIN.replace("NULL", "None in asked['step'].values()")
    with ChildStepper([sys.executable, "-c", program]) as stepper:
        identification = identify(stepper)
    assert identification.hyperparameters == {"learning_rate": 0.5}
    assert {"a change of the learning rate", "an array without a gradient"} < set(
        identification.not_examined
    )


def test_a_child_that_dies_on_a_missing_gradient_is_one_line():
    with ChildStepper([sys.executable, "-c", _PLAIN.replace("NULL", "False")]) as stepper:
        with pytest.raises(InputError, match=r"ended \(exit code 1\) when it was asked for step"):
            identify(stepper)
        with pytest.raises(InputError, match="ended"):  # and at once when it is asked again
            stepper.set_learning_rate(0.1)
