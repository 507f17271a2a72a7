"""The tables of options say what the optimizers say."""

import inspect
import json

import optax
import pytest

from jaxopt_notes import optimizers
from jaxopt_notes.config import settings
from jaxopt_notes.config.settings import HYPERPARAMETERS, LEARNING_RATES, OPTIMIZERS, Config
from jaxopt_notes.errors import InputError
from jaxopt_notes.optimizers._adam_to_sgd import CARRIES
from jaxopt_notes.training import schedules
from jaxopt_notes.training.schedules import schedule


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_options_of_an_optimizer_are_its_arguments(name):
    factory = getattr(optimizers, name.replace("-", "_"))
    arguments = set(inspect.signature(factory).parameters)
    by_the_run = {"learning_rate", "mask", "switch_step", "earliest_switch"}
    assert set(OPTIMIZERS[name]) == arguments - by_the_run
    assert set(OPTIMIZERS[name]) <= set(HYPERPARAMETERS)
    assert name in LEARNING_RATES


def test_schedule_names_agree():
    assert settings.SCHEDULES == schedules.NAMES


def test_names_of_what_is_carried_over_agree():
    assert settings.CARRIES == CARRIES


@pytest.mark.parametrize("warmup", [None, 0.0, 0.1, 0.5])
@pytest.mark.parametrize("name", schedules.NAMES)
def test_schedules_rise_to_the_peak_and_end_where_they_say(name, warmup):
    rate = schedule(name, 0.5, 200, warmup)
    values = [float(rate(k)) for k in range(201)]
    assert max(values) == pytest.approx(0.5)
    share = schedules.DEFAULT_WARMUP[name] if warmup is None else warmup
    assert values[round(share * 200)] == pytest.approx(0.5)
    end = {"constant": 0.5, "cosine": 0.0, "one-cycle": 0.5e-4}[name]
    assert values[-1] == pytest.approx(end, abs=1e-9)


def test_cosine_is_optax_cosine():
    ours, theirs = schedule("cosine", 0.1, 50), optax.cosine_decay_schedule(0.1, 50)
    for k in (0, 10, 25, 49):
        assert float(ours(k)) == pytest.approx(float(theirs(k)), rel=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimizer": "adma"}, ["--optimizer", "adma", "adam?"]),
        ({"optimizer": "zzz"}, ["--optimizer", "zzz", "rmsprop"]),
        ({"schedule": "cosin"}, ["--schedule", "cosine?"]),
        ({"learning_rate": -1.0}, ["--learning-rate", "-1"]),
        ({"learning_rate": 0.0}, ["--learning-rate", "0"]),
        ({"learning_rate": float("nan")}, ["--learning-rate", "nan"]),
        ({"learning_rate": float("inf")}, ["--learning-rate", "inf"]),
        ({"warmup": 1.0}, ["--warmup", "1.0"]),
        ({"epochs": 0}, ["--epochs", "0"]),
        ({"batch_size": 0}, ["--batch-size", "0"]),
        ({"shift": -1}, ["--shift", "-1"]),
        ({"seed": -1}, ["--seed", "-1"]),
        ({"hyperparameters": {"b1": 1.0}}, ["--b1", "1.0"]),
        ({"hyperparameters": {"b2": float("nan")}}, ["--b2", "nan"]),
        ({"hyperparameters": {"eps": -1e-8}}, ["--eps", "-1e-08"]),
        ({"hyperparameters": {"mu_dtype": "float12"}}, ["--mu-dtype", "float12", "float32?"]),
        ({"hyperparameters": {"decay": 0.9}}, ["--decay", "adam does not take it", "--b1"]),
        ({"optimizer": "sgd", "hyperparameters": {"b1": 0.9}}, ["--b1", "sgd", "--momentum"]),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(change, words):
    with pytest.raises(InputError) as caught:
        settings.validate(Config(**change))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_settings_are_plain_json():
    assert json.loads(json.dumps(vars(Config())))["optimizer"] == "adam"
