"""A torch scheduler's call, as `--schedule` takes it: read as text, written as text."""

import pytest

from jaxopt_notes.config import schedulers
from jaxopt_notes.config.settings import ROWS, from_json, resolve
from jaxopt_notes.errors import InputError

CALLS = {
    "StepLR(500)": "StepLR(step_size=500)",
    "StepLR(step_size=2, gamma=0.7, every=938)": "StepLR(step_size=2, gamma=0.7, every=938)",
    "MultiStepLR([3, 7], 0.1)": "MultiStepLR(milestones=[3, 7])",
    "ExponentialLR(gamma=.9)": "ExponentialLR(gamma=0.9)",
    "LinearLR()": "LinearLR()",
    " OneCycleLR( total_steps = 9 , pct_start = 0.3 )": "OneCycleLR(total_steps=9)",
    "SequentialLR([LinearLR(0.5), ConstantLR(1.0)], milestones=[5])": (
        "SequentialLR(schedulers=[LinearLR(start_factor=0.5), ConstantLR(factor=1.0)], "
        "milestones=[5])"
    ),
}


@pytest.mark.parametrize(("text", "shown"), CALLS.items())
def test_a_call_is_read_and_written(text, shown):
    call = schedulers.read(text)
    assert schedulers.shown(call) == shown
    assert schedulers.read(shown) == call
    config = resolve({"schedule": ROWS["schedule"].read(text)}, 1)
    assert (config.schedule, config.warmup) == (shown, 0.0)
    assert from_json(config.as_json()) == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("StepLR(", "is not a call of a scheduler; pass one such as"),
        ("(" * 100_000, "is not a call of a scheduler"),
        ("x.StepLR(3)", "is not a call of a scheduler"),
        ("print(3)", "print is not a scheduler here; pass one of StepLR, "),
        ("LambdaLR(lambda k: 1)", "LambdaLR is not a scheduler here"),
        ("StepLR()", "StepLR has no step_size; add it"),
        ("StepLR(0)", "StepLR has step_size=0, which torch does not take"),
        ("StepLR(3.5)", "StepLR has step_size=3.5"),
        ("StepLR(True)", "StepLR has step_size=True"),
        ("StepLR(3, -1)", "StepLR has gamma=-1"),
        ("StepLR(3, 1, 2)", "StepLR has too many arguments"),
        ("StepLR(3, step_size=3)", "StepLR has step_size twice"),
        ("StepLR(3, **{})", "StepLR has ** twice"),
        ("StepLR(3, last_epoch=2)", "StepLR takes no last_epoch here"),
        ("StepLR(n)", "has an argument that is not a number"),
        ("StepLR(__import__('os'))", "__import__ is not a scheduler here"),
        ("OneCycleLR(9, anneal_strategy='sin')", "anneal_strategy='sin'"),
        ("OneCycleLR(9, pct_start=2)", "pct_start=2"),
        ("SequentialLR([LinearLR()], [3])", "wrong number of milestones"),
        ("SequentialLR([OneCycleLR(9)], [])", "SequentialLR has schedulers="),
    ],
)
def test_what_is_no_scheduler_is_one_line(text, words):
    with pytest.raises(InputError) as caught:
        ROWS["schedule"].read(text)
    line = str(caught.value)
    assert line.startswith("--schedule ")
    assert words in line


def test_a_name_is_still_a_name():
    assert ROWS["schedule"].read("One-Cycle") == "one-cycle"
    with pytest.raises(InputError, match="did you mean cosine"):
        ROWS["schedule"].read("cosin")
    with pytest.raises(InputError, match="or a torch scheduler such as"):
        ROWS["schedule"].read("zzz")


def test_a_torch_scheduler_has_its_own_warm_up():
    with pytest.raises(InputError, match=r"--warmup 0\.1: --schedule StepLR"):
        resolve({"schedule": "StepLR(step_size=3)", "warmup": 0.1}, 1)
